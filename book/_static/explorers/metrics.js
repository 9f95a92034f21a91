/* Break the caption, watch the scores: one caption, changed in a known way or by the reader. */
"use strict";

(() => {
  const E = window.Explorers;
  const { h, number, dot, readState, writeState, arrowKeys } = E;
  const CLIPSCORE_WEIGHT = 2.5;
  const BEFORE = "unedited";
  const LEVEL = 0.005; // a smaller change is none: it shows as 0.00
  // name, what it is called, what it reads, the score at which its bar is full
  const METRICS = [
    ["bleu4", "BLEU-4", "text", 1], ["rougeL", "ROUGE-L", "text", 1], ["meteor", "METEOR", "text", 0.6],
    ["cider", "CIDEr", "text", 5], ["clipscore", "CLIPScore", "image", 2.2], ["refclipscore", "RefCLIPScore", "image", 1.43],
    ["precision", "object precision", "region", 1], ["recall", "object recall", "region", 1],
    ["accuracy", "true statements", "region", 1],
  ];
  const READS = { text: "compare with the references", image: "look at the image", region: "the exact truth" };

  function scorer() {
    const { references, lexicon } = E.data.metrics;
    const clip = E.clip ??= new E.Clip(E.data.towers);
    const { x } = E.features(E.data.towers.name);
    const tokens = references.map((captions) => captions.map(E.overlap.tokens));
    const idf = E.overlap.documentFrequency(tokens);
    const senses = E.grounding.sensesOf(lexicon);
    const encoded = new Map();
    const feature = (text) => {
      if (!encoded.has(text)) encoded.set(text, clip.encodeText(text));
      return encoded.get(text);
    };

    /* All scores of a caption of one scene; METEOR is stored or missing. */
    function score(text, i) {
      const scene = E.data.metrics.scenes[i];
      const words = E.overlap.tokens(text);
      const typed = feature(text);
      const clipscore = CLIPSCORE_WEIGHT * Math.max(dot(x[i], typed), 0);
      const nearest = Math.max(...references[i].map((reference) => dot(feature(reference), typed)));
      const both = clipscore + nearest;
      const parsed = E.grounding.parse(text, senses);
      const { statements, found, there, said, right } = E.grounding.check(parsed, scene);
      const isTrue = statements.filter((statement) => statement.isTrue).length;
      const stored = Object.values(scene.said).find(([caption]) => caption === text);
      return {
        bleu4: E.overlap.bleu4(words, tokens[i]), rougeL: E.overlap.rougeL(words, tokens[i]),
        meteor: stored ? stored[1] : null, cider: E.overlap.cider(words, tokens[i], idf),
        clipscore, refclipscore: both ? (2 * clipscore * nearest) / both : 0,
        precision: said ? right / said : null, recall: found / there,
        accuracy: statements.length ? isTrue / statements.length : null,
        statements, parts: E.grounding.parts(text, parsed, scene), unknown: clip.unknown(text),
      };
    }
    return score;
  }

  E.draw.metrics = (root) => {
    const { kinds, scenes, references } = E.data.metrics;
    const score = E.score = scorer();
    const state = { image: "0", edit: "", text: "", ...readState("metrics") };
    if (!scenes[state.image]) state.image = "0";
    const thumbs = h("div", { class: "thumbs strip", role: "group", "aria-label": "Choose an image" },
      scenes.map((scene, i) => h("button", {
        type: "button", "data-i": i, style: E.thumbnail(i).getAttribute("style"),
        "aria-label": `image ${i + 1}: ${scene.said[BEFORE][0]}`,
        onclick: () => { Object.assign(state, { image: String(i), text: "" }); update(); },
      })));
    const chips = h("div", { class: "edits", role: "group", "aria-label": "Change the caption" },
      [["before", [[BEFORE, "as it was"]]], ...kinds].map(([kind, names]) => h("div", { class: "edit-kind" },
        h("span", { class: "kind" }, kind), h("div", { class: "chips" }, names.map(([name, words]) => h("button", {
          type: "button", "data-edit": name,
          onclick: () => { Object.assign(state, { edit: name, text: "" }); update(); },
        }, words))))));
    arrowKeys(thumbs, "button");
    arrowKeys(chips, "button");
    const input = h("input", {
      type: "text", id: "metrics-text", maxlength: 160, autocomplete: "off", spellcheck: "false",
      "aria-describedby": "metrics-unknown",
      oninput: () => { state.text = input.value; update(true); },
    });
    const unknown = h("p", { id: "metrics-unknown", class: "warning", role: "status" });
    const marked = h("p", { class: "said" });
    const large = h("div");
    const bars = h("table", { class: "bars" });
    const summary = h("p", { role: "status" });
    const statements = h("ul", { class: "statements" });
    const read = h("ul");

    function update(typing = false) {
      const i = Number(state.image);
      const { said } = scenes[i];
      const edit = said[state.edit] ? state.edit : BEFORE;
      const text = typing ? input.value : state.text || said[edit][0];
      if (!typing) input.value = text;
      press(thumbs, "button", (button) => button.dataset.i === state.image);
      for (const button of chips.querySelectorAll("button")) button.disabled = !said[button.dataset.edit];
      press(chips, "button", (button) => !typing && !state.text && button.dataset.edit === edit);
      const now = score(text, i);
      const before = score(said[BEFORE][0], i);
      const wrong = score(said.another_image[0], i);
      large.replaceChildren(E.thumbnail(i));
      marked.replaceChildren(...(now.parts.length ? now.parts.map(mark) : ["\u00a0"]));
      const strange = [...new Set(now.unknown)];
      unknown.textContent = strange.length ? `The CLIP has never read: ${strange.join(", ")}.` : "";
      bars.replaceChildren(head(), ...Object.keys(READS).map((reads) => group(reads, now, before, wrong)));
      summary.replaceChildren(...inWords(now, before));
      statements.replaceChildren(...(now.statements.length ? now.statements.map(one)
        : [h("li", {}, "It states nothing that could be checked.")]));
      read.replaceChildren(...references[i].map((caption) => h("li", {}, caption)));
      writeState("metrics", { ...state, edit: state.text ? "" : edit === BEFORE ? "" : edit });
    }

    function press(group, selector, isPressed) {
      const all = [...group.querySelectorAll(selector)];
      const pressed = all.find(isPressed);
      for (const button of all) {
        button.setAttribute("aria-pressed", String(button === pressed));
        button.tabIndex = button === (pressed || all.find((item) => !item.disabled)) ? 0 : -1;
      }
    }

    function mark([part, verdict]) {
      return verdict ? h("span", { class: verdict > 0 ? "true" : "false" }, part) : part;
    }

    function one({ words, isTrue }) {
      return h("li", { class: isTrue ? "is-true" : "is-false" },
        h("b", {}, isTrue ? "\u2713 true: " : "\u2717 false: "), words);
    }

    function head() {
      return h("thead", {}, h("tr", {}, ["metric", "", "score", "change"].map((words) =>
        (words ? h("th", { scope: "col" }, words) : h("td")))));
    }

    function group(reads, now, before, wrong) {
      return h("tbody", { class: `of-${reads}` },
        h("tr", {}, h("th", { scope: "rowgroup", colspan: 4, class: "reads" }, READS[reads])),
        METRICS.filter(([, , kind]) => kind === reads).map(([name, words, , full]) =>
          bar(words, full, now[name], before[name], wrong[name])));
    }

    function bar(words, full, now, before, wrong) {
      const share = (value) => `${100 * Math.min(Math.max(value / full, 0), 1)}%`;
      const known = now !== null;
      return h("tr", {},
        h("th", { scope: "row" }, words),
        h("td", {}, h("div", { class: "track", "aria-hidden": "true" },
          known ? h("i", { class: "line", style: `left:0;width:${share(now)}` }) : null,
          wrong === null ? null : h("i", { class: "tick wrong", style: `left:${share(wrong)}` }),
          before === null ? null : h("i", { class: "tick", style: `left:${share(before)}` }))),
        h("td", { class: "right" }, known ? number(now) : "\u2013"),
        h("td", { class: "right" }, known && before !== null ? change(now - before) : ""));
    }

    function change(value) {
      if (Math.abs(value) < LEVEL) return number(0);
      return h("b", { class: value > 0 ? "rises" : "falls" }, number(value, 2, true));
    }

    function inWords(now, before) {
      const moved = (sign, isTruth) => METRICS.filter(([name, , reads]) => (reads === "region") === isTruth
        && now[name] !== null && before[name] !== null && sign * (now[name] - before[name]) >= LEVEL)
        .map(([, words]) => words);
      const say = (isTruth) => [["fall", -1], ["rise", 1]].map(([verb, sign]) => [verb, moved(sign, isTruth)])
        .filter(([, names]) => names.length)
        .map(([verb, names]) => `${names.join(", ")} ${names.length > 1 ? verb : `${verb}s`}`).join("; ");
      return [
        h("b", {}, "The metrics: "), say(false) || "none moves", ". ",
        h("b", {}, "The truth: "), say(true) || "nothing moves", ".",
        now.meteor === null ? " METEOR needs Java and is missing for a caption of your own." : "",
      ];
    }

    root.append(
      h("h3", {}, "Break the caption, watch the scores"),
      h("p", {}, "Choose an image. Change its caption in a known way, or type over it. All scores are computed "
        + "in this page. Which metrics notice what is false, and which punish what is true?"),
      thumbs, chips,
      h("div", { class: "controls" }, h("label", { for: "metrics-text" }, "The caption"), input),
      unknown,
      h("div", { class: "beside reversed" },
        h("div", { class: "side" }, large, marked, statements),
        h("div", {}, bars,
          h("p", { class: "note" }, h("i", { class: "tick sample", "aria-hidden": "true" }), " the caption before the change, ",
            h("i", { class: "tick wrong sample", "aria-hidden": "true" }), " another image\u2019s caption"),
          summary)),
      h("details", {}, h("summary", {}, "The five references"), read));
    update();
  };
})();
