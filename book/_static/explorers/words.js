/* What words owe to the image: nats of each word in three readings, and a weight that re-ranks. */
"use strict";

(() => {
  const { h, number, readState, writeState, arrowKeys } = window.Explorers;
  const WAYS = { right: "right image", another: "another image", none: "no image" };
  const DARKEST = 8; // nats; from here on a word is as dark as it gets
  const SAID = { 1: "in the image", "-1": "not in the image" };

  const sum = (values) => values.reduce((total, value) => total + value, 0);

  window.Explorers.draw.words = (root) => {
    const { images, model, sheet } = window.Explorers.data.words;
    const state = { image: "0", caption: "0", w: "0", ...readState("words") };
    const thumbs = h("div", { class: "thumbs", role: "group", "aria-label": "Choose an image" });
    images.forEach((captions, i) => thumbs.append(h("button", {
      type: "button", "data-i": i, tabindex: i ? "-1" : "0",
      "aria-label": `image ${i + 1}: ${text(captions.find((c) => c.kind === "a person"))}`,
      style: `background-image:url(${sheet});background-size:${images.length * 100}% 100%;`
        + `background-position:${(100 * i) / (images.length - 1)}% 0`,
      onclick: () => { state.image = String(i); update(); },
    })));
    arrowKeys(thumbs, "button");
    const large = h("div", { class: "large", role: "img" });
    const slider = h("input", { type: "range", id: "words-weight", min: 0, max: 1, step: 0.05,
      oninput: () => { state.w = slider.value; update(); } });
    const weight = h("output", { for: "words-weight" });
    const ranked = h("ol", { class: "ranked" });
    const tinted = h("div", { class: "tinted", role: "status" });

    function text(caption) {
      return caption.parts.map(([part]) => part).join("");
    }

    /* log p(y | I) - w log p(y): nats are minus the logarithms. */
    function score(caption) {
      return Number(state.w) * sum(caption.none) - sum(caption.right);
    }

    function update() {
      const chosen = Number(state.image);
      const captions = images[chosen];
      slider.value = state.w;
      weight.textContent = number(Number(state.w));
      for (const button of thumbs.children) {
        button.setAttribute("aria-pressed", String(button.dataset.i === state.image));
      }
      large.style.cssText = thumbs.children[chosen].style.cssText;
      large.setAttribute("aria-label", `the chosen image: ${text(captions.find((c) => c.kind === "a person"))}`);
      const order = captions.map((_, i) => i).sort((a, b) => score(captions[b]) - score(captions[a]));
      const focused = document.activeElement?.dataset?.caption;
      ranked.replaceChildren(...order.map((i) => h("li", {},
        h("button", {
          type: "button", "data-caption": i, "aria-pressed": String(String(i) === state.caption),
          onclick: () => { state.caption = String(i); update(); },
        },
        h("span", { class: "kind" }, captions[i].kind),
        h("span", { class: "said" }, captions[i].parts.map(marked)),
        h("span", { class: "value" }, number(score(captions[i]), 1))))));
      if (focused) ranked.querySelector(`[data-caption="${focused}"]`)?.focus();
      tinted.replaceChildren(...reading(captions[Number(state.caption)]));
      writeState("words", state);
    }

    function marked([part, verdict]) {
      if (!verdict) return part;
      return h("span", { class: verdict > 0 ? "true" : "false", title: SAID[verdict] }, part);
    }

    function reading(caption) {
      const rows = Object.entries(WAYS).map(([way, name]) => h("tr", {},
        h("th", { scope: "row" }, name),
        caption.words.map((word, k) => h("td", { class: "word",
          style: `--share:${Math.round(70 * Math.min(Math.max(caption[way][k], 0) / DARKEST, 1))}%` },
          h("b", {}, word || "(end)"), h("small", {}, number(caption[way][k], 1)))),
        h("td", { class: "right" }, number(sum(caption[way]), 1))));
      const owed = sum(caption.none) - sum(caption.right);
      return [
        h("p", {}, h("b", {}, "Nats of each word. "), "The darker a word, the less the model expected it."),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Nats of each word" },
          h("table", {}, h("tbody", {}, rows))),
        h("p", {}, "With its image the caption costs ", h("b", {}, number(sum(caption.right), 1)),
          " nats, without one ", h("b", {}, number(sum(caption.none), 1)), ": its words owe ",
          h("b", {}, number(owed, 1)), " nats to the image."),
      ];
    }

    root.append(
      h("h3", {}, "What words owe to the image"),
      h("p", {}, "Choose an image and a caption. ", h("code", {}, model), " reads it with the right image, "
        + "with another one, and with none. Then raise the weight and watch who rises."),
      thumbs,
      h("div", { class: "beside reversed" }, large, h("div", {},
        h("div", { class: "controls" },
          h("label", { for: "words-weight" }, "log p(y | I) \u2212 w log p(y), w = ", weight), slider),
        ranked,
        h("p", { class: "note" }, "Words in the image are ", h("span", { class: "true" }, "bold"),
          ", words not in it ", h("span", { class: "false" }, "struck out"), "."))),
      tinted);
    update();
  };
})();
