/* BLEU-4, ROUGE-L and CIDEr-D of one caption, as vizer_core.metrics computes them. */
"use strict";

(() => {
  const ORDERS = [1, 2, 3, 4];
  const [TINY, SMALL] = [1e-15, 1e-9]; // COCO's tools add them to counts, so that no logarithm fails
  const BETA = 1.2; // of ROUGE-L
  const SIGMA = 6; // of CIDEr-D: how fast a difference of lengths costs

  /* Penn Treebank words without punctuation, for captions in plain English. */
  function tokens(text) {
    const words = /n't\b|'(?:s|m|d|re|ve|ll)\b|[a-z0-9]+?(?=n't\b)|[a-z0-9]+(?:-[a-z0-9]+)*/g;
    return text.toLowerCase().match(words) || [];
  }

  function counts(words, n) {
    const found = new Map();
    for (let i = 0; i + n <= words.length; i++) {
      const gram = words.slice(i, i + n).join(" ");
      found.set(gram, (found.get(gram) || 0) + 1);
    }
    return found;
  }

  function bleu4(words, references) {
    let product = 1;
    for (const n of ORDERS) {
      let matches = 0;
      for (const [gram, count] of counts(words, n)) {
        const most = Math.max(...references.map((reference) => counts(reference, n).get(gram) || 0));
        matches += Math.min(count, most);
      }
      product *= (matches + TINY) / (Math.max(words.length - n + 1, 0) + SMALL);
    }
    const away = (length) => Math.abs(length - words.length);
    const closest = references.map((reference) => reference.length)
      .sort((a, b) => away(a) - away(b) || a - b)[0];
    const ratio = (words.length + TINY) / (closest + SMALL);
    return product ** 0.25 * (ratio < 1 ? Math.exp(1 - 1 / ratio) : 1);
  }

  /* The length of the longest common subsequence. */
  function common(a, b) {
    let row = new Array(b.length + 1).fill(0);
    for (const word of a) {
      const next = [0];
      b.forEach((other, j) => next.push(word === other ? row[j] + 1 : Math.max(row[j + 1], next[j])));
      row = next;
    }
    return row[b.length];
  }

  function rougeL(words, references) {
    const said = words.length ? words : [""]; // as the common tool has it: one empty word
    let [precision, recall] = [0, 0];
    for (const reference of references) {
      const held = common(said, reference);
      precision = Math.max(precision, held / said.length);
      recall = Math.max(recall, held / reference.length);
    }
    if (!precision) return 0;
    return ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
  }

  /* In how many documents (the references of an image) each n-gram occurs. */
  function documentFrequency(documents) {
    const found = new Map();
    for (const references of documents) {
      const grams = new Set();
      for (const words of references) for (const n of ORDERS) for (const g of counts(words, n).keys()) grams.add(g);
      for (const gram of grams) found.set(gram, (found.get(gram) || 0) + 1);
    }
    const all = Math.log(documents.length);
    return (gram) => all - Math.log(Math.max(1, found.get(gram) || 0));
  }

  function cider(words, references, idf) {
    const weigh = (from, n) => new Map([...counts(from, n)].map(([gram, c]) => [gram, c * idf(gram)]));
    const norm = (weights) => Math.sqrt([...weights.values()].reduce((sum, w) => sum + w * w, 0));
    let total = 0;
    for (const reference of references) {
      let cosines = 0;
      for (const n of ORDERS) {
        const [said, held] = [weigh(words, n), weigh(reference, n)];
        let sum = 0;
        for (const [gram, w] of said) if (held.has(gram)) sum += Math.min(w, held.get(gram)) * held.get(gram);
        cosines += sum / (norm(said) * norm(held) || Infinity);
      }
      const longer = Math.max(words.length - 1, 0) - Math.max(reference.length - 1, 0);
      total += cosines * Math.exp(-(longer ** 2) / (2 * SIGMA ** 2));
    }
    return (10 * total) / ORDERS.length / references.length;
  }

  window.Explorers.overlap = { tokens, bleu4, rougeL, cider, documentFrequency };
})();
