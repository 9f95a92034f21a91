/* A tap or a click on a figure shows it as large as the screen allows; on a telephone it can be moved about.
   Escape, a click, or the button closes it. Without this script the figures stay as they are. */
(function () {
  "use strict";
  const FIGURES = ".bd-article :is(.cell_output, figure, p) > img, .bd-article .cell_output figure img";

  function dialog() {
    const box = document.createElement("dialog");
    box.className = "enlarged";
    box.setAttribute("aria-label", "Figure, enlarged");
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    const place = document.createElement("div");
    box.append(close, place);
    box.addEventListener("click", function () {
      box.close();
    });
    document.body.append(box);
    return box;
  }

  function show(box, image) {
    const copy = image.cloneNode();
    copy.removeAttribute("style");
    // a plot may be of any size; pixels are not blown up further than a phone needs
    const plot = image.src.endsWith(".svg");
    const wide = (86 * image.naturalWidth) / image.naturalHeight; // in hundredths of the screen's height
    copy.style.width = plot ? `max(720px, min(94vw, ${wide}vh))` : `max(720px, ${image.naturalWidth}px)`;
    box.querySelector("div").replaceChildren(copy);
    box.showModal();
  }

  window.addEventListener("load", function () {
    if (typeof HTMLDialogElement === "undefined") {
      return;
    }
    const box = dialog();
    document.querySelectorAll(FIGURES).forEach(function (image) {
      if (image.closest("a, button, [data-explorer], table")) {
        return; // has a click of its own, or stands in a row
      }
      const button = document.createElement("button");
      button.type = "button";
      button.className = "enlarge";
      button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
      image.replaceWith(button);
      button.append(image);
      button.addEventListener("click", function () {
        show(box, image);
      });
    });
  });
})();
