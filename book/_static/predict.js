/* Predict, then reveal on a click: what follows a question stays hidden until the reader asks for it.
   A question is a paragraph that begins with "Predict."; its answer is all that follows in the section,
   up to the next question, heading or explorer. Without this script everything is shown. */
(function () {
  "use strict";
  const KEPT = "answers-shown";

  function isQuestion(node) {
    const first = node.firstElementChild;
    return node.tagName === "P" && first && first.tagName === "STRONG" && node.textContent.trim().startsWith("Predict.");
  }

  function isBoundary(node) {
    const explorer = "[data-explorer]"; // things to play with are never hidden
    return /^(SECTION|H[1-6])$/.test(node.tagName) || node.matches(explorer) || node.querySelector(explorer);
  }

  function answerOf(question) {
    const found = [];
    let node = question.nextElementSibling;
    while (node && !isQuestion(node) && !isBoundary(node)) {
      found.push(node);
      node = node.nextElementSibling;
    }
    return found;
  }

  function kept() {
    try {
      return window.localStorage.getItem(KEPT) === "yes";
    } catch (error) {
      return false;
    }
  }

  function keep() {
    try {
      window.localStorage.setItem(KEPT, "yes");
    } catch (error) {
      /* a browser that keeps nothing asks again on the next page */
    }
  }

  // an answer may be folded besides, for readers without this script: one click shows it
  function unfold(place) {
    place.querySelectorAll("details.hide.below-input").forEach(function (fold) {
      fold.open = true;
    });
  }

  function reveal(box) {
    box.removeAttribute("hidden");
    box.previousElementSibling.remove();
    unfold(box);
  }

  function revealAll() {
    document.querySelectorAll(".answer[hidden]").forEach(reveal);
    window.dispatchEvent(new Event("resize")); // tables find out whether they scroll
  }

  function button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  }

  function veil(question, number) {
    const nodes = answerOf(question);
    if (!nodes.length) {
      return;
    }
    const box = document.createElement("div");
    box.className = "answer";
    box.id = "answer-" + number;
    box.tabIndex = -1;
    const asks = document.createElement("div");
    asks.className = "reveal";
    const one = button("Reveal", function () {
      reveal(box);
      box.focus();
      window.dispatchEvent(new Event("resize"));
    });
    one.setAttribute("aria-controls", box.id);
    one.setAttribute("aria-expanded", "false");
    asks.append(one);
    if (number === 1) {
      asks.append(
        button("Reveal everything, on every page", function () {
          keep();
          revealAll();
        })
      );
    }
    question.after(asks, box);
    box.append(...nodes);
    box.setAttribute("hidden", "until-found"); // a search within the page still finds it
    box.addEventListener("beforematch", function () {
      reveal(box);
    });
  }

  function start() {
    if (kept()) {
      unfold(document);
      return;
    }
    const questions = [...document.querySelectorAll(".bd-article p")].filter(isQuestion);
    questions.forEach(function (question, index) {
      veil(question, index + 1);
    });
    const aim = window.location.hash && document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    const around = aim && aim.closest(".answer[hidden]");
    if (around) {
      reveal(around);
      aim.scrollIntoView();
    }
  }

  window.addEventListener("beforeprint", function () {
    revealAll();
    document.querySelectorAll(".bd-article details:not([class])").forEach(function (folded) {
      folded.open = true; // nobody can open it on paper
    });
  });
  window.revealAnswers = revealAll;
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
