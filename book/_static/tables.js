/* A table, gallery or formula that is wider than its column scrolls, and a grid of numbers higher than the screen; make it
   reachable by keyboard and say so to readers. */
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
      if (box.tagName === "DIV") {
        box.setAttribute("role", "group");
      }
    }
  }
  const WIDE = "table, pre, mjx-container[display=true], .cell_output div[style*=overflow]";
  function all() {
    document.querySelectorAll(`.bd-article :is(${WIDE})`).forEach(reach);
  }
  window.addEventListener("load", function () {
    all();
    const formulas = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (formulas) {
      formulas.then(all); // they are as wide as they are once they are set
    }
  });
  window.addEventListener("resize", all);
})();
