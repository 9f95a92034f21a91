/* What a caption states of a drawn scene, and what of it is true: vizer_core.metrics.grounding. */
"use strict";

(() => {
  const ORDER = ["background", "relation", "noun", "category", "colour", "size", "number"];
  const ARTICLES = ["a", "an"]; // they state no count: "a dog" is true of two dogs
  const MARGIN = 0.15; // centres must differ by more than this share of the image's side
  const WORD = /[\w'-]+/g;

  /* Every phrase of the lexicon, as words, with each kind of thing that it may be. */
  function sensesOf(lexicon) {
    const senses = new Map();
    for (const kind of ORDER) {
      for (const [surface, value] of Object.entries(lexicon[kind])) {
        const key = surface.match(WORD).join(" ");
        if (!senses.has(key)) senses.set(key, {});
        senses.get(key)[kind] = value;
      }
    }
    const longest = Math.max(...[...senses.keys()].map((key) => key.split(" ").length));
    return { senses, longest, plurals: new Set(lexicon.plurals) };
  }

  /* Cut a caption into the longest known phrases; `start` and `end` say where each stands. */
  function cut(caption, { senses, longest }) {
    const words = [...caption.toLowerCase().matchAll(WORD)];
    const found = [];
    for (let at = 0; at < words.length;) {
      let end = Math.min(words.length, at + longest);
      const surface = () => words.slice(at, end).map(([word]) => word).join(" ");
      while (end > at + 1 && !senses.has(surface())) end--;
      const last = words[end - 1];
      found.push({
        surface: surface(), senses: senses.get(surface()) || {},
        start: words[at].index, end: last.index + last[0].length,
      });
      at = end;
    }
    return found;
  }

  /* A word that is colour and noun, as "orange" is, modifies a noun after it. */
  function kindOf(phrase, next) {
    const isHead = next && ["noun", "category", "size"].some((kind) => kind in next.senses);
    if ("colour" in phrase.senses && isHead) return "colour";
    return ORDER.find((kind) => kind in phrase.senses) || "other";
  }

  function parse(caption, lexicon) {
    const phrases = cut(caption, lexicon);
    const [mentions, relations, backgrounds] = [[], [], []];
    let [said, pending] = [{}, null];
    phrases.forEach((phrase, i) => {
      const kind = kindOf(phrase, phrases[i + 1]);
      const value = phrase.senses[kind];
      if (["number", "colour", "size"].includes(kind)) {
        if (!ARTICLES.includes(phrase.surface)) said[kind] = value;
        return;
      }
      if (kind === "noun" || kind === "category") {
        mentions.push({
          ...phrase, ...said, names: kind === "noun" ? [value] : value,
          isCategory: kind === "category", plural: lexicon.plurals.has(phrase.surface),
        });
        if (pending && mentions.length > 1) {
          relations.push({ ...pending, subject: mentions.at(-2), target: mentions.at(-1) });
        }
        pending = null;
      } else if (kind === "background") backgrounds.push({ ...phrase, place: value });
      else if (kind === "relation") pending = { relation: value, words: phrase.surface };
      said = {};
    });
    return { mentions, relations, backgrounds };
  }

  /* Does a stand in a relation to b? The larger of the two distances decides; a side wants a margin. */
  function stands(a, b, relation) {
    const [dx, dy] = [a.x - b.x, a.y - b.y];
    const across = Math.abs(dx) >= Math.abs(dy);
    return {
      "left of": across && dx < -MARGIN, "right of": across && dx > MARGIN,
      above: !across && dy < -MARGIN, below: !across && dy > MARGIN, "next to": across,
    }[relation];
  }

  /* Every statement of a caption, true or false, and the counts that rates are made of. */
  function check(parsed, { objects, background }) {
    const things = objects.map(([name, colour, size, x, y]) => ({ name, colour, size, x, y }));
    const of = (mention) => things.filter((thing) => mention.names.includes(thing.name));
    const statements = [];
    const state = (kind, words, isTrue) => statements.push({ kind, words, isTrue });
    const [seen, named] = [new Set(), new Set()];
    for (const mention of parsed.mentions) {
      const there = of(mention);
      const key = mention.names.join();
      if (!mention.isCategory) named.add(mention.names[0]);
      if (!seen.has(key)) state("object", mention.surface, there.length > 0);
      seen.add(key);
    }
    for (const { surface, colour, size, number, plural, isCategory, ...mention } of parsed.mentions) {
      const there = of(mention);
      const unknown = there.length && there.every((thing) => thing.colour === null);
      if (colour && !unknown) state("attribute", `${colour} ${surface}`, there.some((o) => o.colour === colour));
      if (size) state("attribute", `${size} ${surface}`, there.some((o) => o.size === size));
      if (number !== undefined) state("count", `${number} ${surface}`, there.length === number);
      else if (plural && !isCategory) state("count", `at least 2 ${surface}`, there.length >= 2);
    }
    for (const { subject, relation, words, target } of parsed.relations) {
      const isTrue = of(subject).some((a) => of(target).some((b) => a !== b && stands(a, b, relation)));
      state("relation", `${subject.surface} ${words} ${target.surface}`, isTrue);
    }
    for (const { surface, place } of parsed.backgrounds) state("background", surface, place === background);
    const kinds = new Set(things.map((thing) => thing.name));
    const found = [...named].filter((name) => kinds.has(name)).length;
    const said = statements.filter(({ kind }) => kind === "object");
    return {
      statements, found, there: kinds.size, said: said.length,
      right: said.filter(({ isTrue }) => isTrue).length,
    };
  }

  /* The caption in parts: [words, 1 if the thing or place is there, -1 if not, 0 if it names none]. */
  function parts(caption, parsed, { objects, background }) {
    const kinds = new Set(objects.map(([name]) => name));
    const marks = [
      ...parsed.mentions.filter((m) => !m.isCategory)
        .map(({ start, end, names }) => ({ start, end, isTrue: kinds.has(names[0]) })),
      ...parsed.backgrounds.map(({ start, end, place }) => ({ start, end, isTrue: place === background })),
    ].sort((a, b) => a.start - b.start);
    const found = [];
    let at = 0;
    for (const { start, end, isTrue } of marks) {
      if (start > at) found.push([caption.slice(at, start), 0]);
      found.push([caption.slice(start, end), isTrue ? 1 : -1]);
      at = end;
    }
    if (at < caption.length) found.push([caption.slice(at), 0]);
    return found;
  }

  window.Explorers.grounding = { sensesOf, parse, check, parts };
})();
