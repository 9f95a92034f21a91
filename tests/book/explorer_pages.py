"""Pages with one explorer each, in the book's files but without the book: quick to open."""

from __future__ import annotations

import shutil
from pathlib import Path

from built_book import ROOT
from selenium.webdriver.common.by import By

from tools.verdict_board import write_verdict_board

EXPLORERS = ["verdicts", "gap", "clip", "words", "metrics"]

PAGE = """<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script src="_static/explorers/loader.js"></script>
<style>html[data-theme="dark"] {{ background: #121212; color-scheme: dark }}
body {{ font: 16px sans-serif; margin: 8px auto; max-width: 820px; padding: 0 12px }}</style></head>
<body><main><div data-explorer="{name}"><p>what shows without scripts</p></div></main></body></html>
"""

# what a reader must be able to tell apart: text from its ground, and what every control is for
FAULTS = """
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => {
  const values = (text.match(/[\\d.]+/g) || []).map(Number);
  return text.startsWith('color(srgb') ? values.map((v) => 255 * v) : values; // of a color-mix
};
const ground = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const c = parse(getComputedStyle(at).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
const faults = [];
const root = document.querySelector('.explorer');
for (const node of root.querySelectorAll('*')) {
  const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !node.checkVisibility() || node.closest(':disabled, option')) continue;
  const [a, b] = [parse(getComputedStyle(node).color).slice(0, 3), ground(node)].map(luminance);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const words = node.textContent.slice(0, 30);
  if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(1)} of "${words}"`);
}
for (const node of root.querySelectorAll('button, input, select, canvas, img, [role=img]')) {
  const name = node.getAttribute('aria-label') || node.getAttribute('alt') || node.textContent ||
    (node.labels && [...node.labels].map((l) => l.textContent).join(' '));
  if (!name || !name.trim()) faults.push(`no name: ${node.outerHTML.slice(0, 80)}`);
  if (!node.checkVisibility() || !node.matches('button')) continue;
  const { width, height } = node.getBoundingClientRect();
  const what = node.outerHTML.slice(0, 60);
  if (width < 24 || height < 24) faults.push(`${width} x ${height} px: ${what}`);
}
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) faults.push(`${wide} px wide on a screen of ${innerWidth}`);
return faults;
"""


def all_of(browser, selector: str):
    """Return the elements of the page that a selector finds."""
    return browser.find_elements(By.CSS_SELECTOR, selector)


def write_pages(folder: Path, names: list[str]) -> Path:
    """Write a page for each explorer beside the book's static files; return the folder."""
    shutil.copytree(ROOT / "book" / "_static", folder / "_static")
    made = folder / "made"
    write_verdict_board(ROOT, made)
    shutil.copytree(made / "static", folder / "_static", dirs_exist_ok=True)
    for name in names:
        (folder / f"{name}.html").write_text(PAGE.format(name=name), encoding="utf-8")
    return folder
