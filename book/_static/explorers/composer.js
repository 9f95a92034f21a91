/* Compose a scene from drawings; the image tower reads every change of it. */
"use strict";

(() => {
  const E = window.Explorers;
  const { h, number, dot } = E;
  const SIDE = 112; // pixels, what the tower reads
  const MOST = 6; // objects, as in the drawn world
  const SIZES = [0.2, 0.26, 0.32, 0.4, 0.5];
  const START = [["robot", 0.32, 0.6], ["dog", 0.72, 0.66]];

  const load = (source) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = failed;
    image.src = source;
  });

  E.composer = (clip, features, texts) => {
    const { names, side: art, sheet, places, backgrounds } = E.data.sprites;
    const scene = {
      place: 6,
      objects: START.map(([name, x, y]) => ({ kind: names.indexOf(name), x, y, size: 2 })),
    };
    let [drawings, grounds, chosen, typed, words, waiting] = [null, null, 0, null, "", 0];

    const canvas = h("canvas", { width: SIDE, height: SIDE, tabindex: "0", role: "application",
      "aria-label": "The scene. Arrow keys move the chosen object, plus and minus change its size, "
        + "Delete takes it away, N chooses the next." });
    const ink = canvas.getContext("2d", { willReadFrequently: true });
    const place = h("select", { id: "scene-place", onchange: () => { scene.place = Number(place.value); draw(); } },
      places.map(([name], i) => h("option", { value: i }, name)));
    place.value = scene.place;
    const palette = h("div", { class: "palette", role: "group", "aria-label": "Add an object" },
      names.map((name, i) => h("button", {
        type: "button", "aria-label": `add: ${name}`, title: name, onclick: () => addObject(i),
        style: `background-image:url(${sheet});background-size:${names.length * 100}% 100%;`
          + `background-position:${(100 * i) / (names.length - 1)}% 0`,
      })));
    const buttons = {
      smaller: h("button", { type: "button", onclick: () => resize(-1) }, "smaller"),
      larger: h("button", { type: "button", onclick: () => resize(1) }, "larger"),
      away: h("button", { type: "button", onclick: remove }, "take away"),
    };
    const says = h("div", { class: "side", role: "status" });

    function paint(without = -1) {
      ink.drawImage(grounds, scene.place * SIDE, 0, SIDE, SIDE, 0, 0, SIDE, SIDE);
      scene.objects.forEach(({ kind, x, y, size }, i) => {
        if (i === without) return;
        const wide = SIZES[size] * SIDE;
        const [left, top] = [x, y].map((middle) =>
          Math.min(Math.max(middle * SIDE - wide / 2, 0), SIDE - wide));
        ink.drawImage(drawings, kind * art, 0, art, art, left, top, wide, wide);
      });
      return ink.getImageData(0, 0, SIDE, SIDE).data;
    }

    function draw() {
      if (!drawings) return;
      paint();
      frame();
      clearTimeout(waiting);
      waiting = setTimeout(read, 120); // a drag is many changes; the tower reads the last one
    }

    /* The chosen object is framed on the screen only: what the tower reads is painted anew. */
    function frame() {
      const object = scene.objects[chosen];
      for (const button of Object.values(buttons)) button.disabled = !object;
      if (!object || document.activeElement !== canvas) return;
      const wide = SIZES[object.size] * SIDE;
      ink.strokeStyle = "#b0006d";
      ink.strokeRect(object.x * SIDE - wide / 2, object.y * SIDE - wide / 2, wide, wide);
    }

    function read() {
      const row = clip.encodeImage(paint(), SIDE);
      const cosines = features.map((text) => dot(text, row));
      const order = cosines.map((_, i) => i).sort((a, b) => cosines[b] - cosines[a]);
      const lines = [...new Set(order.map((i) => texts[i]))].slice(0, 4);
      const list = lines.map((text) =>
        h("li", {}, text, " ", h("i", {}, number(cosines[texts.indexOf(text)]))));
      const parts = [h("p", {}, h("b", {}, "It reads, of 200 captions,")), h("ol", {}, list)];
      if (typed && words.trim()) parts.push(...owed(row));
      says.replaceChildren(...parts);
      paint();
      frame();
    }

    /* What each object adds to the typed caption: the cosine less the cosine without the object. */
    function owed(row) {
      const all = dot(typed, row);
      const rows = scene.objects.map(({ kind }, i) => {
        const adds = all - dot(typed, clip.encodeImage(paint(i), SIDE));
        return h("li", {}, `the ${names[kind]} adds `, h("b", {}, number(adds, 2, true)));
      });
      return [
        h("p", {}, h("b", {}, `\u201c${words}\u201d: `), `cosine ${number(all)}`),
        h("ul", {}, rows),
      ];
    }

    function addObject(kind) {
      if (scene.objects.length === MOST) scene.objects.shift();
      const k = scene.objects.length;
      scene.objects.push({ kind, x: 0.22 + 0.28 * (k % 3), y: k % 2 ? 0.32 : 0.68, size: 2 });
      chosen = scene.objects.length - 1;
      draw();
    }

    function resize(step) {
      const object = scene.objects[chosen];
      if (object) object.size = Math.min(Math.max(object.size + step, 0), SIZES.length - 1);
      draw();
    }

    function remove() {
      scene.objects.splice(chosen, 1);
      chosen = Math.max(0, Math.min(chosen, scene.objects.length - 1));
      draw();
    }

    function move(dx, dy) {
      const object = scene.objects[chosen];
      if (!object) return;
      const keep = (value) => Math.min(Math.max(value, 0.1), 0.9);
      [object.x, object.y] = [keep(object.x + dx), keep(object.y + dy)];
      draw();
    }

    canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-0.05, 0], ArrowRight: [0.05, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] };
      const acts = { "+": () => resize(1), "-": () => resize(-1), Delete: remove, Backspace: remove,
        n: () => { chosen = (chosen + 1) % Math.max(scene.objects.length, 1); draw(); } };
      if (steps[event.key]) move(...steps[event.key]);
      else if (acts[event.key]) acts[event.key]();
      else return;
      event.preventDefault();
    });
    canvas.addEventListener("focus", draw);
    canvas.addEventListener("blur", draw);
    let last = null;
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    canvas.addEventListener("pointerdown", (event) => {
      const [x, y] = point(event);
      const hit = scene.objects.findLastIndex((o) =>
        Math.max(Math.abs(o.x - x), Math.abs(o.y - y)) < SIZES[o.size] / 2);
      if (hit < 0) return;
      [chosen, last] = [hit, [x, y]];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const now = point(event);
      move(now[0] - last[0], now[1] - last[1]);
      last = now;
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });

    Promise.all([load(sheet), load(backgrounds)]).then(([a, b]) => {
      [drawings, grounds] = [a, b];
      draw();
    });
    return {
      element: h("div", { class: "composer" },
        h("h3", {}, "Compose a scene, and read what it reads"),
        h("div", { class: "controls" }, h("label", { for: "scene-place" }, "Place"), place,
          ...Object.values(buttons)),
        palette,
        h("div", { class: "beside" }, h("div", { class: "plot" }, canvas), says),
        h("p", { class: "note" }, "Drag an object, or choose the scene and use the keys: arrows, plus, minus, "
          + "Delete, N for the next. At most six objects. Drawings: OpenMoji, CC BY-SA 4.0.")),
      caption: (row, text) => { [typed, words] = [row, text]; draw(); },
    };
  };
})();
