/* A table, gallery or formula that is wider than its column scrolls, and a grid of numbers higher than the screen; make it
   reachable by keyboard and say so to readers. Columns of printed numbers scroll too, instead of wrapping. */
(function () {
  "use strict";
  function reach(box) {
    const high = box.classList.contains("grid") && box.scrollHeight > box.clientHeight;
    if (box.scrollWidth <= box.clientWidth && !high) {
      box.removeAttribute("tabindex");
      return;
    }
    box.setAttribute("tabindex", "0");
    const speaks = box.tagName === "MJX-CONTAINER" || box.hasAttribute("aria-label");
    if (!speaks && !box.querySelector("caption")) {
      box.setAttribute("aria-label", "Larger than its place on the page: scroll with the arrow keys");
      if (box.tagName === "DIV" || box.tagName === "SPAN") {
        box.setAttribute("role", "group");
      }
    }
  }
  const WIDE = "table, pre, .columns, mjx-container[display=true], .cell_output div[style*=overflow]";
  // printed lines wrap; of two or more that have columns, the columns must stay below each other
  function columns(pre) {
    if (Array.from(pre.children).some((part) => part.textContent)) {
      return; // coloured: a program
    }
    const runs = [];
    pre.textContent.split("\n").forEach(function (line) {
      const apart = /\S {2,}\S/.test(line);
      const last = runs[runs.length - 1];
      if (last && last.apart === apart) {
        last.lines.push(line);
      } else {
        runs.push({ apart: apart, lines: [line] });
      }
    });
    if (!runs.some((run) => run.apart && run.lines.length > 1)) {
      return;
    }
    pre.replaceChildren();
    runs.forEach(function (run, place) {
      const text = run.lines.join("\n");
      if (run.apart && run.lines.length > 1) {
        const box = document.createElement("span");
        box.className = "columns";
        box.textContent = text;
        pre.append(box);
      } else {
        const next = runs[place + 1];
        const block = next && next.apart && next.lines.length > 1;
        pre.append(block || !next ? text : `${text}\n`);
      }
    });
  }
  function all() {
    document.querySelectorAll(`.bd-article :is(${WIDE})`).forEach(reach);
  }
  window.addEventListener("load", function () {
    document.querySelectorAll(".bd-article .cell_output .stream pre").forEach(columns);
    all();
    const formulas = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (formulas) {
      formulas.then(all); // they are as wide as they are once they are set
    }
  });
  window.addEventListener("resize", all);
})();
