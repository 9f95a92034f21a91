"""Wrong answers to the exercises of chapters 9 to 16, each with words that its reader is told."""

from __future__ import annotations

LATER: dict[tuple[int, int], dict[str, str]] = {
    (9, 1): {
        "nats_per_caption = 0.0": "Nothing is decided",
        "nats_per_caption = gains['all tokens'].mean * counts['all tokens']": "of all captions",
        "nats_per_caption = counts['all tokens'] / len(study.test)": "Those are tokens per caption",
        "nats_per_caption = gains['all tokens'].mean / len(study.test)": "already is a mean",
    },
    (9, 2): {
        "rearranged = lambda e: e[:8]": "Wanted all",
        "rearranged = lambda e: e[:, torch.randperm(e.shape[1])]": "no longer",
        "rearranged = lambda e: e[torch.zeros(len(e), dtype=torch.long)]": "no longer",
        "rearranged = lambda e: torch.cat([e[:2].flip(0), e[2:]])": "stand where they stood",
    },
    (9, 3): {
        "WORD = 'a'": "is an article",
        "WORD = 'two'": "is a number",
        "WORD = 'stock'": "most captions name one thing",
        "WORD = 'helicopter'": "hardly ever begins",
        "WORD = 'throwback to'": "Wanted one word",
    },
    (10, 1): {
        "said = texts[0]": "That is one string",
        "said = [texts[0]]": "one for each image",
        "said = [texts[i % 2] for i in range(len(texts))]": "2 different captions",
    },
    (10, 2): {
        "my_mapper = lambda states, wanted: None": "is its `return` missing",
        "my_mapper = lambda _, wanted: (lambda s: wanted[:1].expand(len(s), -1))": "same answer",
        "my_mapper = lambda states, wanted: torch.nn.Linear(states.shape[1], 3)": "Wanted answers",
        "good = my_mapper\n"
        "def my_mapper(states, wanted):\n"
        "    weights = torch.linalg.lstsq(states, wanted).solution\n"
        "    return lambda s: -s @ weights": "point away from their images",
    },
    (10, 3): {
        "after = [0] * len(people)": "Only 1 images are in context",
        "after = [1, 2, 3]": "places, each from 0",
        "after = [i ^ 1 if i % 4 < 2 else i for i in range(len(people))]": "after their own image",
    },
    (11, 1): {
        "weights_of = lambda m: RANK * m.in_features": "B is missing",
        "weights_of = lambda m: RANK * m.in_features * m.out_features": "the whole matrix r times",
        "weights_of = lambda m: m.in_features + m.out_features": "an adapter of rank 1",
        "weights_of = lambda m: RANK": "Your adapter has",
    },
    (11, 2): {
        "def by_position(values, position, count):\n"
        "    return torch.stack([values[position <= p].mean() for p in range(count)])": "not `<=`",
        "def by_position(values, position, count):\n"
        "    return torch.stack([values[position == p].sum() for p in range(count)])": "are sums",
        "def by_position(values, position, count):\n"
        "    return torch.stack([values[position == p + 1].mean() for p in range(count)])":
        "at position 0",
        "def by_position(values, position, count): ...": "is not written yet",
    },
    (11, 3): {
        "other = ImageContext(reader)": "Only its mapper is another one",
        "other = StraightThrough(fitted)": "read after their image",
        "other = reader": "Wanted a `StraightThrough`",
    },
    (12, 1): {
        "noisy_advantage = lambda r: r / r.std(dim=1, keepdim=True)": "subtract each image's mean",
        "noisy_advantage = lambda r: (r - r.mean(1, keepdim=True)) / r.std()": "its own spread",
        "noisy_advantage = lambda r: (r - r.mean(1, keepdim=True)) / r.var(1, keepdim=True)":
        "square",
        "noisy_advantage = lambda r: r.mean(dim=1)": "one advantage per caption",
    },
    (12, 2): {
        "SILENT, TALKATIVE = 1.0, 0.0": "the wrong way round",
        "SILENT, TALKATIVE = 0.0, 0.3": "refunds too little",
        "SILENT, TALKATIVE = -1.0, 1.0": "charges for a word twice",
    },
    (12, 3): {
        "steps_under = lambda kl, most: next((i for i, k in enumerate(kl) if k > most), len(kl))":
        "One step too few",
        "steps_under = lambda kl, most: 1": "always stops after its first step",
        "steps_under = lambda kl, most: None": "is not written yet",
    },
    (13, 1): {
        "MY_RATE = RATES[2]": "Too fast",
        "MY_RATE = RATES[1] / 50": "Too slow",
        "MY_RATE = -1": "A rate is above 0",
    },
    (13, 2): {
        "seeds_needed = lambda e, s: max(1, int(8 * s**2 / e**2 + 1e-9))": "You rounded down",
        "seeds_needed = lambda e, s: max(1, round(4 * s**2 / e**2 + 0.499))":
        "the error of one mean",
        "seeds_needed = lambda e, s: max(1, round(2 * s**2 / e**2 + 0.499))": "at least twice",
    },
    (13, 3): {
        "passes_for = lambda steps, captions, batch: steps // -(-captions // batch)": "last steps",
        "passes_for = lambda steps, captions, batch: -(-steps // (captions // batch))":
        "last batch",
        "passes_for = lambda steps, captions, batch: -(-captions // batch)": "steps of one pass",
    },
    (14, 1): {
        "level_weight = lambda length_at: 1.0": "likes captions long",
        "level_weight = lambda length_at: min(length_at(w / 10) for w in range(11))":
        "give the correlation back",
        "level_weight = lambda length_at: None": "its `return` missing",
        "level_weight = lambda length_at: 40": "between 0 and 1",
    },
    (14, 2): {
        "rival = list(range(len(people)))": "are their own rival",
        "centred = features - features.mean(0)\n"
        "rival = torch.nn.functional.normalize(centred, dim=1)\n"
        "rival = (rival @ rival.T).argmin(dim=1).tolist()": "least alike",
        "rival = [1] + [0] * (len(people) - 1)": "the same rival",
        "rival = [1, 2]": "places of images",
    },
    (14, 3): {
        "lie = lambda text: text.replace('small', 'big').replace('blue', 'red')":
        "The CLIP notices",
        "lie = lambda text: ' '.join(reversed(text.split()))": "Words in disorder",
        "lie = dict(zip(people, KINDS['one word wrong'])).__getitem__": "The CLIP notices",
    },
    (15, 1): {
        "MINE = 'a photo'": "fits any image",
        "MINE = own.texts[1]": "model's own caption",
        "MINE = study.test.texts[1]": "put it differently",
        "MINE = 'a bicycle'": "too few of them",
        "MINE = ' '": "An empty caption",
    },
    (15, 2): {
        "def word_pays(r, n):\n"
        "    r, n = r - r.mean(), n - n.mean()\n"
        "    return (r * n).sum() / (n * n).sum()": "each row's own mean",
        "def word_pays(r, n):\n"
        "    r, n = r - r.mean(dim=1, keepdim=True), n - n.mean(dim=1, keepdim=True)\n"
        "    return (r * n).sum() / (r * r).sum()": "slope of words over rewards",
        "def word_pays(r, n):\n"
        "    r, n = r - r.mean(dim=0), n - n.mean(dim=0)\n"
        "    return (r * n).sum() / (n * n).sum()": "An image is a row",
        "def word_pays(r, n):\n"
        "    r, n = r - r.mean(dim=1, keepdim=True), n - n.mean(dim=1, keepdim=True)\n"
        "    return (r * n).sum() / (r.norm() * n.norm())": "the correlation",
    },
    (15, 3): {
        "least_share = lambda winner, word: 0.0": "liked for being likely",
        "least_share = lambda winner, word: 1.0": "at a smaller share too",
        "least_share = lambda winner, word: word": "Wanted a share",
    },
    (16, 1): {
        "lowest_bar = lambda precision_at, wanted: 0.25": "too much is let through",
        "lowest_bar = lambda precision_at, wanted: 0.75": "a lower bar has it too",
        "lowest_bar = lambda precision_at, wanted: 8": "a share of the eight samples",
        "lowest_bar = lambda precision_at, wanted: None": "its `return` missing",
    },
    (16, 2): {
        "query = lambda images, texts: texts": "the first image forgotten",
        "query = lambda images, texts: images + 0.3 * texts": "let the text count for more",
        "query = lambda images, texts: -images": "Neither the thing nor the place",
        "query = lambda images, texts: images @ texts.T": "Wanted one query per image",
    },
    (16, 3): {
        "fresh_areas = lambda find, area, many, few: area(find(many[::2], few[::2]), many, few)":
        "score them too",
        "def fresh_areas(find, area, many, few):\n"
        "    return area(find(many[::2], few[::2]), few[1::2], many[1::2])": "many things first",
        "fresh_areas = lambda find, area, many, few: 0.5": "Wanted the areas back",
    },
}  # fmt: skip
