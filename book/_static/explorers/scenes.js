/* The scenes that explorers share: their images, their captions, their features as rows. */
"use strict";

(() => {
  const { h, int8 } = window.Explorers;
  const unpacked = new Map();

  /* Rows of length 1 from whole numbers: the common scale of a row does not matter. */
  function rows(packed, count) {
    const whole = int8(packed);
    const d = whole.length / count;
    return Array.from({ length: count }, (_, i) => {
      const row = Float32Array.from(whole.subarray(i * d, (i + 1) * d));
      const length = Math.hypot(...row);
      return row.map((value) => value / length);
    });
  }

  /* The image and text features of a model, [n, d] each. */
  function features(model) {
    if (!unpacked.has(model)) {
      const { n, models } = window.Explorers.data.scenes;
      unpacked.set(model, { x: rows(models[model].x, n), t: rows(models[model].t, n) });
    }
    return unpacked.get(model);
  }

  /* One scene as an element; it fills the width it is given. */
  function thumbnail(index) {
    const { sheet, columns, n, texts } = window.Explorers.data.scenes;
    const lines = Math.ceil(n / columns);
    const zoom = 1.04; // a little closer, so that no neighbour shows at the edge
    const at = (place, count) =>
      `${(100 * (place * zoom + (zoom - 1) / 2)) / (count * zoom - 1)}%`;
    const [wide, high] = [columns, lines].map((count) => `${100 * zoom * count}%`);
    return h("div", {
      class: "thumb", role: "img", "aria-label": `a drawn scene: ${texts[index]}`,
      style: `background-image:url(${sheet});background-size:${wide} ${high};`
        + `background-position:${at(index % columns, columns)} ${at(Math.floor(index / columns), lines)}`,
    });
  }

  Object.assign(window.Explorers, { features, thumbnail });
})();
