/* A real CLIP in the page: type a caption and the images line up; compose a scene and read it. */
"use strict";

(() => {
  const E = window.Explorers;
  const { h, number, dot, readState, writeState } = E;
  const CHIPS = ["a robot in the sea", "a robot on the street", "two castles", "not a robot", "robot sea",
    "a red bus and a dog"];
  const SHOWN = 12;

  E.draw.clip = (root) => {
    const clip = E.clip ??= new E.Clip(E.data.towers);
    const { x, t } = E.features(E.data.towers.name);
    const { texts, n } = E.data.scenes;
    const state = { text: CHIPS[0], ...readState("clip") };
    const input = h("input", {
      type: "text", id: "clip-text", value: state.text, maxlength: 160, autocomplete: "off",
      "aria-describedby": "clip-unknown",
      oninput: () => { state.text = input.value; read(); },
    });
    const unknown = h("p", { id: "clip-unknown", class: "warning", role: "status" });
    const said = h("p", { class: "note", role: "status" });
    const grid = h("ol", { class: "grid" });
    const chips = h("div", { class: "chips" }, CHIPS.map((text) => h("button", {
      type: "button", onclick: () => { input.value = state.text = text; read(); },
    }, text)));
    let typed;

    function read() {
      const begun = performance.now();
      typed = clip.encodeText(state.text);
      const time = performance.now() - begun;
      const strange = clip.unknown(state.text);
      unknown.textContent = strange.length
        ? `This CLIP has never read: ${[...new Set(strange)].join(", ")}.` : "";
      const cosines = x.map((row) => dot(row, typed));
      const order = cosines.map((_, i) => i).sort((a, b) => cosines[b] - cosines[a]);
      const mean = cosines.reduce((sum, value) => sum + value, 0) / n;
      said.textContent = `The best ${SHOWN} of ${n} images, read in ${Math.ceil(time)} ms. `
        + `Best cosine ${number(cosines[order[0]])}, mean of all ${number(mean)}.`;
      grid.replaceChildren(...order.slice(0, SHOWN).map((i) => h("li", { "data-i": i },
        E.thumbnail(i),
        h("span", { class: "bar", "aria-hidden": "true" },
          h("i", { style: `left:0;width:${100 * Math.max(0, cosines[i])}%` })),
        h("span", { class: "value" }, number(cosines[i])))));
      writeState("clip", state);
      composed.caption(typed, state.text);
    }

    const composed = E.composer(clip, t, texts);
    root.append(
      h("h3", {}, "A real CLIP in this page"),
      h("p", {}, "Both towers of ", h("code", {}, E.data.towers.name),
        " run here, in your browser. Type a caption: the images line up by their cosine with it."),
      h("div", { class: "controls" }, h("label", { for: "clip-text" }, "Your caption"), input),
      unknown, chips, said, grid, composed.element);
    read();
  };
})();
