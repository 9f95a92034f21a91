/* All scores of all studies in one table that can be sorted and searched. */
"use strict";

(() => {
  const { h, number } = window.Explorers;
  const FIRST = 40;
  const COLUMNS = [
    ["system", (row, study) => study.systems[row[0]], 1],
    ["metric", (row, study) => study.metrics[row[1]], 1],
    ["mean", (row) => row[2], -1],
    ["interval", (row) => row[4] - row[3], 1],
    ["n", (row) => row[5], -1],
  ];

  window.Explorers.scoreTable = (studies) => {
    const scored = studies.filter((study) => study.rows.length);
    const sum = scored.reduce((total, study) => total + study.rows.length, 0);
    const box = h("details", { class: "scores" },
      h("summary", {}, `All ${sum.toLocaleString("en")} scores, to sort and to search`));
    box.addEventListener("toggle", () => { if (box.children.length === 1) fill(box, scored); });
    return box;
  };

  function fill(box, studies) {
    const state = { study: studies[0], metric: 0, words: "", by: 2, way: -1, all: false };
    const options = (names) => names.map((name, at) => h("option", { value: at }, name));
    const which = h("select", { id: "score-study" }, options(studies.map((s) => s.title)));
    const metric = h("select", { id: "score-metric" });
    const words = h("input", { type: "search", id: "score-words" });
    const body = h("tbody", {});
    const found = h("p", { class: "note", role: "status" });
    const more = h("button", { type: "button", class: "plain" }, "Show all");
    const heads = COLUMNS.map(([name], column) =>
      h("th", { scope: "col" },
        h("button", { type: "button", onclick: () => sort(column) }, name)));

    which.addEventListener("change", () => {
      state.study = studies[which.value];
      fillMetrics();
      draw();
    });
    metric.addEventListener("change", () => { state.metric = Number(metric.value); draw(); });
    words.addEventListener("input", () => { state.words = words.value; draw(); });
    more.addEventListener("click", () => { state.all = true; draw(); });

    function fillMetrics() {
      metric.replaceChildren(h("option", { value: -1 }, "all metrics"), ...options(state.study.metrics));
      state.metric = 0;
      metric.value = "0";
      state.all = false;
    }

    function sort(column) {
      state.way = state.by === column ? -state.way : COLUMNS[column][2];
      state.by = column;
      draw();
    }

    function draw() {
      const { study } = state;
      const key = COLUMNS[state.by][1];
      const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * state.way;
      const rows = study.rows
        .filter((row) => state.metric < 0 || row[1] === state.metric)
        .filter((row) => [study.systems, study.keys].some((names) =>
          names[row[0]].toLowerCase().includes(state.words.toLowerCase())))
        .sort((a, b) => order(key(a, study), key(b, study)));
      const range = [Math.min(0, ...rows.map((r) => r[3])), Math.max(0, ...rows.map((r) => r[4]))];
      const kept = state.all ? rows : rows.slice(0, FIRST);
      body.replaceChildren(...kept.map((row) => line(row, study, range)));
      heads.forEach((head, column) => head.setAttribute("aria-sort",
        column === state.by ? (state.way > 0 ? "ascending" : "descending") : "none"));
      found.textContent = `${kept.length} of ${rows.length} rows.`;
      more.hidden = kept.length === rows.length;
    }

    box.append(
      h("div", { class: "controls" },
        h("label", { for: "score-study" }, "Study"), which,
        h("label", { for: "score-metric" }, "Metric"), metric,
        h("label", { for: "score-words" }, "Systems that contain"), words),
      found,
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores" },
        h("table", {}, h("thead", {}, h("tr", {}, heads)), body)),
      more);
    fillMetrics();
    draw();
  }

  function line(row, study, [low, high]) {
    const [system, metric, mean, from, to, n] = row;
    const at = (value) => (100 * (value - low)) / (high - low || 1);
    return h("tr", {},
      h("th", { scope: "row", title: study.keys[system] }, study.systems[system]),
      h("td", {}, study.metrics[metric]),
      h("td", { class: "right" }, number(mean, 3)),
      h("td", { class: "interval" },
        h("span", { class: "bar", "aria-hidden": "true" },
          h("i", { style: `left:${at(from)}%;width:${Math.max(at(to) - at(from), 1)}%` })),
        `${number(from, 3)} to ${number(to, 3)}`),
      h("td", { class: "right" }, n === null ? "" : n.toLocaleString("en")));
  }
})();
