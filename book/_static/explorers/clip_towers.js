/* A CLIP in the page: both towers of a small open_clip model, in plain JavaScript.

   Weights come as 8-bit integers with a scale a row and are unpacked once. Matrices are stored as
   torch stores them, [out, in]; states are rows of `width` numbers. The arithmetic is open_clip's:
   pre-norm blocks, GELU, the class token (images) and the end mark (texts) read out, both
   projected and scaled to length 1. */
"use strict";

(() => {
  const { int8, float32, unit } = window.Explorers;
  const MEAN = [0.48145466, 0.4578275, 0.40821073]; // of CLIP's training images, red green blue
  const SPREAD = [0.26862954, 0.26130258, 0.27577711];
  const EPSILON = 1e-5;

  function unpack({ f, q, s }) {
    if (f) return float32(f);
    const whole = int8(q);
    const scales = float32(s);
    const columns = whole.length / scales.length;
    const values = new Float32Array(whole.length);
    for (let i = 0; i < values.length; i++) values[i] = whole[i] * scales[Math.floor(i / columns)];
    return values;
  }

  /* The error function, Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most. */
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
      + 0.254829592) * t;
    const value = 1 - sum * Math.exp(-x * x);
    return x < 0 ? -value : value;
  }

  const gelu = (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2));

  /* rows [n, a] times matrix [b, a] plus bias [b] -> [n, b] */
  function linear(rows, count, matrix, bias) {
    const a = rows.length / count;
    const b = matrix.length / a;
    const out = new Float32Array(count * b);
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < b; j++) {
        let sum = bias ? bias[j] : 0;
        const row = i * a;
        const column = j * a;
        for (let k = 0; k < a; k++) sum += rows[row + k] * matrix[column + k];
        out[i * b + j] = sum;
      }
    }
    return out;
  }

  function layerNorm(rows, count, weight, bias) {
    const d = weight.length;
    const out = new Float32Array(count * d);
    for (let i = 0; i < count; i++) {
      let mean = 0;
      for (let k = 0; k < d; k++) mean += rows[i * d + k];
      mean /= d;
      let variance = 0;
      for (let k = 0; k < d; k++) variance += (rows[i * d + k] - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / d + EPSILON);
      for (let k = 0; k < d; k++) out[i * d + k] = (rows[i * d + k] - mean) * scale * weight[k] + bias[k];
    }
    return out;
  }

  /* Softmax attention of each row over all rows, or over those before it if `causal`. */
  function attention(qkv, count, width, heads, causal) {
    const size = width / heads;
    const out = new Float32Array(count * width);
    const weights = new Float32Array(count);
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < count; i++) {
        const last = causal ? i + 1 : count;
        const query = i * 3 * width + head * size;
        let most = -Infinity;
        for (let j = 0; j < last; j++) {
          const key = j * 3 * width + width + head * size;
          let sum = 0;
          for (let k = 0; k < size; k++) sum += qkv[query + k] * qkv[key + k];
          weights[j] = sum / Math.sqrt(size);
          most = Math.max(most, weights[j]);
        }
        let total = 0;
        for (let j = 0; j < last; j++) total += weights[j] = Math.exp(weights[j] - most);
        for (let j = 0; j < last; j++) {
          const value = j * 3 * width + 2 * width + head * size;
          const share = weights[j] / total;
          for (let k = 0; k < size; k++) out[i * width + head * size + k] += share * qkv[value + k];
        }
      }
    }
    return out;
  }

  function add(to, what) {
    for (let i = 0; i < to.length; i++) to[i] += what[i];
  }

  class Tower {
    constructor(weights, prefix, heads) {
      this.part = (name) => weights[prefix + name];
      this.heads = heads;
      this.blocks = 0;
      while (this.part(`transformer.resblocks.${this.blocks}.ln_1.weight`)) this.blocks++;
    }

    /* Change the states [n, width] by all blocks. */
    run(states, count, causal) {
      for (let block = 0; block < this.blocks; block++) {
        const part = (name) => this.part(`transformer.resblocks.${block}.${name}`);
        const norm = layerNorm(states, count, part("ln_1.weight"), part("ln_1.bias"));
        const qkv = linear(norm, count, part("attn.in_proj_weight"), part("attn.in_proj_bias"));
        const mixed = attention(qkv, count, states.length / count, this.heads, causal);
        add(states, linear(mixed, count, part("attn.out_proj.weight"), part("attn.out_proj.bias")));
        const again = layerNorm(states, count, part("ln_2.weight"), part("ln_2.bias"));
        const hidden = linear(again, count, part("mlp.c_fc.weight"), part("mlp.c_fc.bias")).map(gelu);
        add(states, linear(hidden, count, part("mlp.c_proj.weight"), part("mlp.c_proj.bias")));
      }
      return states;
    }
  }

  /* A row [width] times the projection [width, d], scaled to length 1. */
  function project(row, projection) {
    const d = projection.length / row.length;
    const out = new Float32Array(d);
    for (let j = 0; j < row.length; j++) {
      for (let k = 0; k < d; k++) out[k] += row[j] * projection[j * d + k];
    }
    return unit(out);
  }

  class Clip {
    constructor({ words, heads, weights }) {
      const found = Object.fromEntries(
        Object.entries(weights).map(([name, values]) => [name, unpack(values)]));
      this.part = (name) => found[name];
      this.ids = new Map(words.map((word, id) => [word, id]));
      this.end = words.length - 1;
      this.image = new Tower(found, "visual.", heads);
      this.text = new Tower(found, "", heads);
      this.width = found["ln_final.weight"].length;
      this.longest = found.positional_embedding.length / this.width;
    }

    split(text) {
      return text.toLowerCase().match(/[a-z0-9]+(?:-[a-z0-9]+)*|[,.!?:]/g) || [];
    }

    unknown(text) {
      return this.split(text).filter((word) => !this.ids.has(word));
    }

    encodeText(text) {
      const words = this.split(text).slice(0, this.longest - 2);
      const of = (word) => this.ids.get(word) ?? this.ids.get("<unk>");
      const ids = [this.ids.get("<start>"), ...words.map(of), this.end];
      const { width: d } = this;
      const states = new Float32Array(ids.length * d);
      ids.forEach((id, i) => {
        for (let k = 0; k < d; k++) {
          states[i * d + k] = this.part("token_embedding.weight")[id * d + k]
            + this.part("positional_embedding")[i * d + k];
        }
      });
      this.text.run(states, ids.length, true);
      const norm = layerNorm(states.slice(-d), 1, this.part("ln_final.weight"), this.part("ln_final.bias"));
      return project(norm, this.part("text_projection"));
    }

    /* Pixels as red, green, blue and anything fourth, row by row, as a canvas gives them. */
    encodeImage(pixels, side) {
      const kernel = this.part("visual.conv1.weight");
      const d = this.part("visual.class_embedding").length;
      const patch = Math.sqrt(kernel.length / d / 3);
      const across = side / patch;
      const count = across * across;
      const rows = new Float32Array(count * 3 * patch * patch);
      let at = 0;
      for (let p = 0; p < count; p++) {
        const [top, left] = [Math.floor(p / across) * patch, (p % across) * patch];
        for (let c = 0; c < 3; c++) {
          for (let y = 0; y < patch; y++) {
            for (let x = 0; x < patch; x++) {
              const value = pixels[((top + y) * side + left + x) * 4 + c] / 255;
              rows[at++] = (value - MEAN[c]) / SPREAD[c];
            }
          }
        }
      }
      const states = new Float32Array((count + 1) * d);
      states.set(this.part("visual.class_embedding"));
      states.set(linear(rows, count, kernel, null), d);
      add(states, this.part("visual.positional_embedding"));
      const started = layerNorm(states, count + 1, this.part("visual.ln_pre.weight"), this.part("visual.ln_pre.bias"));
      this.image.run(started, count + 1, false);
      const norm = layerNorm(started.slice(0, d), 1, this.part("visual.ln_post.weight"), this.part("visual.ln_post.bias"));
      return project(norm, this.part("visual.proj"));
    }
  }

  window.Explorers.Clip = Clip;
})();
