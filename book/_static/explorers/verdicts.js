/* The verdict board: a tile a claim, and behind it its rule, its numbers and a dot plot of them. */
"use strict";

(() => {
  const { h, number, readState, writeState, arrowKeys } = window.Explorers;
  const SIGNS = { holds: "\u2713", "does not hold": "\u2715", "not testable here": "?" };
  const KINDS = Object.keys(SIGNS);
  const kindClass = (verdict) => `verdict-${KINDS.indexOf(verdict)}`;

  window.Explorers.draw.verdicts = (root) => {
    const { studies } = window.Explorers.data.verdicts;
    const claims = studies.flatMap((study) => study.claims.map((claim) => ({ study, ...claim })));
    const state = { verdict: "", words: "", claim: "", ...readState("verdicts") };

    const shown = (claim) =>
      (!state.verdict || claim.verdict === state.verdict) &&
      `${claim.claim} ${claim.source} ${claim.study.title}`
        .toLowerCase().includes(state.words.toLowerCase());

    const filters = h("div", { class: "totals", role: "group", "aria-label": "Show by verdict" });
    const search = h("input", {
      type: "search", id: "verdict-words", value: state.words, placeholder: "MacCap, noise, views \u2026",
      oninput: () => { state.words = search.value; update(); },
    });
    const found = h("p", { class: "note", role: "status" });
    const board = h("div", { class: "mosaic" });
    const panel = h("div", { class: "panel", tabindex: "-1", "aria-live": "polite" });

    for (const kind of ["", ...KINDS]) {
      const count = kind ? claims.filter((c) => c.verdict === kind).length : claims.length;
      filters.append(h("button", {
        type: "button", class: `total ${kind ? kindClass(kind) : "verdict-all"}`, "data-kind": kind,
        onclick: () => { state.verdict = kind; update(); },
      }, h("b", {}, String(count)), h("span", {}, kind ? `${SIGNS[kind]} ${kind}` : "all claims")));
    }
    for (const study of studies.filter((each) => each.claims.length)) {
      const tiles = h("div", { class: "tiles", role: "group", "aria-label": study.title });
      study.claims.forEach((claim, place) => {
        tiles.append(h("button", {
          type: "button", class: `tile ${kindClass(claim.verdict)}`, "data-claim": claim.id,
          title: claim.claim, "aria-label": `${claim.verdict}: ${claim.claim}`,
          tabindex: place ? "-1" : "0",
          onclick: () => { state.claim = state.claim === claim.id ? "" : claim.id; update(); },
        }, SIGNS[claim.verdict]));
      });
      arrowKeys(tiles, ".tile");
      board.append(h("div", { class: "study" }, h("span", { class: "name" }, study.title), tiles));
    }

    function update() {
      const kept = new Set(claims.filter(shown).map((claim) => claim.id));
      for (const button of filters.children) {
        button.setAttribute("aria-pressed", String(button.dataset.kind === state.verdict));
      }
      for (const tile of board.querySelectorAll(".tile")) {
        tile.disabled = !kept.has(tile.dataset.claim);
        tile.setAttribute("aria-pressed", String(tile.dataset.claim === state.claim));
      }
      found.textContent = kept.size === claims.length
        ? "Choose a tile to see what decided the claim."
        : `${kept.size} of ${claims.length} claims shown.`;
      for (const group of board.querySelectorAll(".tiles")) { // each stays one stop of the Tab key
        const open = [...group.children].filter((tile) => !tile.disabled);
        if (open.length && !open.some((tile) => tile.tabIndex === 0)) open[0].tabIndex = 0;
      }
      writeState("verdicts", state);
      const claim = claims.find((each) => each.id === state.claim);
      panel.replaceChildren(...(claim ? details(claim) : []));
      if (claim) board.querySelector(`[data-claim="${claim.id}"]`).closest(".study").after(panel);
    }

    root.append(
      h("h3", {}, "All verdicts at a glance"),
      filters,
      h("div", { class: "controls" },
        h("label", { for: "verdict-words" }, "Claims that contain"), search),
      found, board,
      window.Explorers.scoreTable(studies),
    );
    update();
    if (state.claim) requestAnimationFrame(() => panel.scrollIntoView({ block: "center" }));
  };

  function details(claim) {
    const numbers = claim.parts.filter((part) => part.length > 1);
    const rest = claim.parts.filter((part) => part.length === 1);
    return [
      h("p", { class: `verdict ${kindClass(claim.verdict)}` },
        h("span", { class: "badge" }, `${SIGNS[claim.verdict]} ${claim.verdict}`),
        h("span", { class: "note" }, claim.study.title)),
      h("p", { class: "claim" }, claim.claim),
      h("p", {}, h("b", {}, "Named by: "), claim.source),
      claim.rule ? h("p", {}, h("b", {}, "Rule: "), claim.rule) : null,
      numbers.length ? dotPlot(numbers) : null,
      rest.length
        ? h("ul", { class: "rest" }, rest.map(([text]) => h("li", {}, text))) : null,
      h("p", { class: "links" },
        h("a", { href: location.href }, "Link to this claim"),
        claim.study.page
          ? h("a", { href: claim.study.page }, "All numbers of this study") : null),
    ].filter(Boolean);
  }

  /* One row a number: its words, a dot on a line from low to high, and the number itself. */
  function dotPlot(rows) {
    const low = Math.min(0, ...rows.map((row) => row[2]));
    const high = Math.max(0, ...rows.map((row) => row[3]));
    const margin = (high - low || 1) * 0.04;
    const at = (value) => `${(100 * (value - low + margin)) / (high - low + 2 * margin)}%`;
    const width = (row) => `calc(${at(row[3])} - ${at(row[2])})`;
    return h("div", { class: "dots" },
      rows.map((row) => {
        const [words, mean, from, to, sign] = row;
        const clear = sign ? (from > 0 ? "above" : to < 0 ? "below" : "open") : "level";
        const text = `${number(mean, 3, sign)} [${number(from, 3, sign)}, ${number(to, 3, sign)}]`;
        return h("div", { class: "dot-row" },
          h("span", { class: "words" }, words),
          h("span", { class: "track", "aria-hidden": "true" },
            h("i", { class: "zero", style: `left:${at(0)}` }),
            h("i", { class: `line ${clear}`, style: `left:${at(from)};width:${width(row)}` }),
            h("i", { class: `dot ${clear}`, style: `left:${at(mean)}` })),
          h("span", { class: "value" }, text));
      }),
      h("p", { class: "note" }, "The upright line is zero; bars are the intervals of the study."));
  }
})();
