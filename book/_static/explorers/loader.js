/* Find the explorers of a page and start each when a reader comes near it.

   A page says <div data-explorer="NAME"> with a static figure or a table inside. That is what shows
   in JupyterLab, in Colab, on GitHub and without scripts. Here the explorer takes its place. Files
   are loaded by script tags, which also works for a book that is opened from a folder. */
"use strict";

window.Explorers = { draw: {}, data: {} };

(() => {
  const FILES = {
    clip: ["kit.js", "clip_towers.js", "scenes.js", "composer.js", "clip.js", "scenes_data.js",
      "towers_data.js", "sprites_data.js"],
    metrics: ["kit.js", "clip_towers.js", "scenes.js", "metrics_parser.js", "metrics_scores.js", "metrics.js",
      "scenes_data.js", "towers_data.js", "metrics_data.js"],
    gap: ["kit.js", "scenes.js", "gap.js", "scenes_data.js"],
    verdicts: ["kit.js", "verdict_scores.js", "verdicts.js", "verdicts_data.js"],
    words: ["kit.js", "words.js", "words_data.js"],
  };
  const here = new URL(".", document.currentScript.src).href;
  const loading = new Map();

  function load(file) {
    if (!loading.has(file)) {
      loading.set(file, new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = here + file;
        script.onload = done;
        script.onerror = () => failed(new Error(`cannot load ${script.src}`));
        document.head.append(script);
      }));
    }
    return loading.get(file);
  }

  function style() {
    if (document.getElementById("explorers-css")) return Promise.resolve();
    return new Promise((done, failed) => {
      const link = document.createElement("link");
      Object.assign(link, { id: "explorers-css", rel: "stylesheet", href: `${here}explorers.css` });
      link.onload = done;
      link.onerror = failed;
      document.head.append(link);
    });
  }

  /* Headings of an explorer stand one level below the heading that it comes after. */
  function nest(root, place) {
    const before = [...document.querySelectorAll("h1, h2, h3, h4")]
      .filter((heading) => heading.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING);
    const level = before.length ? Number(before.at(-1).tagName[1]) + 1 : 2;
    root.querySelectorAll("h3").forEach((heading) => heading.setAttribute("aria-level", level));
  }

  async function start(place) {
    const name = place.dataset.explorer;
    try {
      await style();
      for (const file of FILES[name]) await load(file);
      const root = document.createElement("div");
      root.className = "explorer";
      await window.Explorers.draw[name](root, place);
      nest(root, place);
      const still = document.createElement("div"); // for paper
      still.className = "still";
      still.append(...place.childNodes);
      place.append(root, still);
      place.dataset.state = "ready";
    } catch (error) {
      place.dataset.state = "failed"; // the static figure stays
      console.error(`explorer ${name}:`, error);
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const near = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        start(target);
      }
    }, { rootMargin: "800px" });
    document.querySelectorAll("[data-explorer]").forEach((place) => near.observe(place));
  });
})();
