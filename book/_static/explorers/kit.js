/* What all explorers share: elements, numbers, packed arrays, a state in the address. */
"use strict";

(() => {
  /* Make an element: h("button", {class: "x", onclick: f}, "text", child). */
  function h(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) {
        made.setAttribute(name, value);
      }
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }

  /* A number with a true minus sign; `sign` also writes the plus. */
  function number(value, digits = 2, sign = false) {
    const text = Math.abs(value).toFixed(digits);
    const zero = Number(text) === 0;
    return (value < 0 && !zero ? "\u2212" : sign && !zero ? "+" : "") + text;
  }

  function bytes(base64) {
    const text = atob(base64);
    const array = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) array[i] = text.charCodeAt(i);
    return array;
  }

  const int8 = (base64) => new Int8Array(bytes(base64).buffer);
  const float32 = (base64) => new Float32Array(bytes(base64).buffer);

  function unit(row) {
    let sum = 0;
    for (const value of row) sum += value * value;
    const length = Math.sqrt(sum) || 1;
    return row.map((value) => value / length);
  }

  function dot(a, b) {
    let sum = 0;
    for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
    return sum;
  }

  /* The state of an explorer stands behind # as name:key=value&..., so that it can be cited. */
  function readState(name) {
    const [found, values] = decodeURIComponent(location.hash.slice(1)).split(/:(.*)/s);
    return found === name ? Object.fromEntries(new URLSearchParams(values)) : {};
  }

  function writeState(name, state) {
    const kept = Object.entries(state).filter(([, value]) => value !== "" && value !== null);
    const words = new URLSearchParams(kept).toString();
    history.replaceState(null, "", words ? `#${name}:${words}` : location.pathname.split("/").pop());
  }

  /* Buttons in a row behave as one stop of the Tab key: arrows go from one to the next. */
  function arrowKeys(group, selector) {
    group.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const all = [...group.querySelectorAll(selector)].filter((item) => !item.disabled);
      const at = all.indexOf(event.target);
      if (at < 0 || !(step || event.key === "Home" || event.key === "End")) return;
      event.preventDefault();
      const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : at + step;
      const next = all[(to + all.length) % all.length];
      for (const item of all) item.tabIndex = item === next ? 0 : -1;
      next.focus();
      next.click();
    });
  }

  Object.assign(window.Explorers, {
    h, number, int8, float32, unit, dot, readState, writeState, arrowKeys,
  });
})();
