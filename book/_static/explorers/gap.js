/* Close the gap yourself: move images and captions together and watch what improves, and what not. */
"use strict";

(() => {
  const { h, number, features, thumbnail, unit, dot, readState, writeState } = window.Explorers;
  const NAMES = {
    "drawn-clip": "learned", "drawn-clip-50": "held at 50", "drawn-clip-100": "held at 100",
  };
  const [LOW, HIGH, STEP] = [-0.4, 1.3, 0.02];
  const [WIDE, TALL] = [520, 330];

  const mean = (rows) => {
    const sum = new Float32Array(rows[0].length);
    for (const row of rows) for (let k = 0; k < sum.length; k++) sum[k] += row[k] / rows.length;
    return sum;
  };
  const minus = (a, b) => a.map((value, k) => value - b[k]);
  const length = (row) => Math.sqrt(dot(row, row));

  /* The plane of the figure: along the gap, and the widest direction at a right angle to it. */
  function plane(x, t) {
    const [meanX, meanT] = [mean(x), mean(t)];
    const gap = minus(meanT, meanX);
    const along = unit(gap);
    const spread = [...x.map((row) => minus(row, meanX)), ...t.map((row) => minus(row, meanT))];
    let across = unit(Float32Array.from(gap, (_, k) => Math.sin(1.7 * k + 1)));
    for (let turn = 0; turn < 30; turn++) { // power iteration
      const next = new Float32Array(across.length);
      for (const row of spread) {
        const share = dot(row, across);
        for (let k = 0; k < next.length; k++) next[k] += share * row[k];
      }
      const off = dot(next, along);
      across = unit(next.map((value, k) => value - off * along[k]));
    }
    return { along, across, middle: (dot(meanX, along) + dot(meanT, along)) / 2, gap: length(gap) };
  }

  /* All that the tiles say, from features that were moved. */
  function measure(x, t) {
    const sums = { own: 0, other: 0, first: 0 };
    x.forEach((row, i) => {
      const own = dot(row, t[i]);
      sums.own += own / x.length;
      sums.other += dot(row, x[(i + 1) % x.length]) / x.length;
      if (!t.some((text) => dot(row, text) > own)) sums.first += 1 / x.length;
    });
    return { gap: length(minus(mean(t), mean(x))), ...sums };
  }

  window.Explorers.draw.gap = (root) => {
    const { texts, n } = window.Explorers.data.scenes;
    const state = { model: "drawn-clip-100", delta: "0", image: "18", ...readState("gap") };
    const planes = {};
    const still = matchMedia("(prefers-reduced-motion: reduce)");

    const models = h("select", { id: "gap-model" }, Object.entries(NAMES).map(([name, words]) => {
      const { scale } = window.Explorers.data.scenes.models[name];
      return h("option", { value: name }, words === "learned" ? `learned (${scale})` : words);
    }));
    const slider = h("input", {
      type: "range", id: "gap-delta", min: LOW, max: HIGH, step: STEP,
    });
    const shown = h("output", { for: "gap-delta" });
    const figure = h("div", { class: "plot" });
    const tiles = h("div", { class: "numbers", role: "status" });
    const side = h("div", { class: "side" });

    models.value = state.model;
    models.addEventListener("change", () => { state.model = models.value; update(); });
    slider.addEventListener("input", () => { state.delta = slider.value; update(); });

    function to(target) {
      const from = Number(state.delta);
      const set = (value) => { state.delta = String(value); update(); };
      if (still.matches) { set(target); return; }
      const start = performance.now();
      const frame = (now) => {
        const part = Math.min((now - start) / 700, 1);
        set(part < 1 ? from + (target - from) * part * (2 - part) : target);
        if (part < 1) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }

    function choose(index) {
      state.image = String((index + n) % n);
      update();
    }

    function update() {
      const { x, t } = features(state.model);
      planes[state.model] ??= plane(x, t);
      const flat = planes[state.model];
      const half = Number(state.delta) / 2;
      const step = (sign) => (row) => unit(row.map((value, k) => value + sign * half * flat.along[k]));
      const moved = { x: x.map(step(1)), t: t.map(step(-1)) };
      const chosen = Number(state.image);
      slider.value = state.delta;
      shown.textContent = number(Number(state.delta), 2);
      const found = measure(moved.x, moved.t);
      const cosines = moved.t.map((row) => dot(moved.x[chosen], row));
      figure.replaceChildren(scatter(moved, flat, chosen, cosines));
      tiles.replaceChildren(
        tile(number(found.gap), "length of the gap"),
        tile(number(found.own), "cosine of an image and its own caption"),
        tile(number(found.other), "cosine of two unrelated images"),
        tile(`${Math.round(100 * found.first)}%`, `of images find their caption first, of ${n}`));
      side.replaceChildren(...one(chosen, cosines));
      writeState("gap", state);
    }

    function one(chosen, cosines) {
      const order = cosines.map((_, i) => i).sort((a, b) => cosines[b] - cosines[a]);
      const rank = order.findIndex((i) => texts[i] === texts[chosen]) + 1;
      return [
        h("div", { class: "pick" },
          h("button", { type: "button", "aria-label": "the image before", onclick: () => choose(chosen - 1) }, "\u2190"),
          h("div", { class: "small" }, thumbnail(chosen)),
          h("button", { type: "button", "aria-label": "the next image", onclick: () => choose(chosen + 1) }, "\u2192")),
        h("p", {}, h("b", {}, "Its caption, "), `rank ${rank}: ${texts[chosen]} `, h("i", {}, number(cosines[chosen]))),
        h("p", {}, h("b", {}, "The nearest captions")),
        h("ol", {}, order.slice(0, 4).map((i) => h("li",
          { class: texts[i] === texts[chosen] ? "own" : null },
          texts[i], " ", h("i", {}, number(cosines[i]))))),
      ];
    }

    function tile(value, words) {
      return h("div", { class: "number" }, h("b", {}, value), h("span", {}, words));
    }

    root.append(
      h("h3", {}, "Close the gap yourself"),
      h("p", {}, "Each dot is an image, each triangle a caption. Move the two clouds together. "
        + "The cosine of own pairs rises. Does an image find its caption more often?"),
      h("div", { class: "controls" },
        h("label", { for: "gap-model" }, "CLIP\u2019s logit scale"), models,
        h("button", { type: "button", onclick: () => to(0) }, "as trained"),
        h("button", { type: "button", onclick: () => to(Number(planes[state.model].gap.toFixed(2))) },
          "close the gap")),
      h("div", { class: "controls" },
        h("label", { for: "gap-delta" }, "moved together by \u03b4 = ", shown), slider),
      h("div", { class: "beside" },
        h("div", {}, figure, h("p", { class: "legend" },
          h("b", { class: "image" }, "\u25cf images"), " \u2190 along the gap \u2192 ",
          h("b", { class: "text" }, "\u25b2 captions"))),
        side),
      tiles);
    update();

    function scatter(moved, flat, chosen, cosines) {
      const place = (row) => [
        WIDE / 2 + (dot(row, flat.along) - flat.middle) * WIDE * 0.62,
        TALL / 2 - dot(row, flat.across) * TALL * 0.62,
      ];
      const at = { x: moved.x.map(place), t: moved.t.map(place) };
      const [a, b] = [at.x[chosen], at.t[chosen]];
      const best = cosines.indexOf(Math.max(...cosines));
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `0 0 ${WIDE} ${TALL}`);
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `${n} images and ${n} captions along the gap; `
        + `the own caption has rank ${1 + cosines.filter((c) => c > cosines[chosen]).length}`);
      const f = (value) => value.toFixed(1);
      svg.innerHTML = [
        ...at.x.map(([x, y], i) => `<circle class="image" data-i="${i}" cx="${f(x)}" cy="${f(y)}" r="3.4"/>`),
        ...at.t.map(([x, y], i) =>
          `<path class="text" data-i="${i}" d="M${f(x - 4)} ${f(y + 3.5)}l4-8 4 8z"/>`),
        best === chosen ? "" :
          `<path class="wrong" d="M${f(a[0])} ${f(a[1])}L${f(at.t[best][0])} ${f(at.t[best][1])}"/>`,
        `<path class="pair" d="M${f(a[0])} ${f(a[1])}L${f(b[0])} ${f(b[1])}"/>`,
        `<circle class="image chosen" cx="${f(a[0])}" cy="${f(a[1])}" r="7"/>`,
        `<path class="text chosen" d="M${f(b[0] - 8)} ${f(b[1] + 7)}l8-16 8 16z"/>`,
      ].join("");
      svg.addEventListener("click", (event) => {
        const index = event.target.dataset.i;
        if (index !== undefined) choose(Number(index));
      });
      return svg;
    }
  };
})();
