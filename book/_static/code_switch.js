/* One switch for all code of a page, kept from page to page. Without this script all code is shown. */
(function () {
  "use strict";
  const KEPT = "code-hidden";

  function stored(value) {
    try {
      if (value !== undefined) {
        window.localStorage.setItem(KEPT, value);
      }
      return window.localStorage.getItem(KEPT) === "yes";
    } catch (error) {
      return value === "yes";
    }
  }

  function start() {
    const bar = document.querySelector(".article-header-buttons");
    if (!bar || !document.querySelector(".bd-article .cell_input")) {
      return;
    }
    const made = document.createElement("button");
    made.type = "button";
    made.className = "btn btn-sm code-switch";
    function show(hidden) {
      document.documentElement.classList.toggle("code-hidden", hidden);
      made.setAttribute("aria-pressed", String(!hidden));
      made.textContent = hidden ? "Show code" : "Hide code";
    }
    made.addEventListener("click", function () {
      show(stored(document.documentElement.classList.contains("code-hidden") ? "no" : "yes"));
    });
    show(stored());
    bar.prepend(made);
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
