"""Wrong answers to the exercises that judge, each with words that its reader is told."""

from __future__ import annotations

WRONG: dict[tuple[int, int], dict[str, str]] = {
    (1, 1): {
        "row = torch.full((65,), 1.0)": "add up to 65",
        "row = torch.zeros(65); row[:2] = 0.5": "2 tokens share the attention",
        "row = torch.ones(64) / 64": "Wanted 65 numbers",
        "row = torch.zeros(65); row[0] = 9.0": "no number can be larger than 1",
    },
    (1, 2): {
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    return torch.take_along_dim(attention @ tokens, chosen[:, :, None], 1)": "length 1",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    rows = attention.mT @ tokens\n"
        "    return unit_norm(torch.take_along_dim(rows, chosen[:, :, None], 1))": "columns of A",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    picked = torch.take_along_dim(tokens, chosen[:, :, None], dim=1)\n"
        "    return unit_norm(picked)": "average of all",
        "def regions_by_hand(tokens, attention, chosen):\n"
        "    return unit_norm((attention @ tokens)[:, : chosen.shape[1]])": "first rows of A",
        "def regions_by_hand(tokens, attention, chosen): ...": "is not written yet",
    },
    (1, 3): {
        "beta = 0.3": "flatter",
        "beta = 3.0": "not far enough",
        "beta = -10.0": "turns the order round",
    },
    (1, 4): {
        "features = other_states.image_features": "Wanted a feature for each patch",
        "features = other_states.image_features[:, None].expand(-1, 64, -1)": "the map is flat",
        "features = -other_states.counterfactual_features": "does not follow the caption",
    },
    (2, 1): {
        "energy = lambda cosine: (2 - 2 * cosine) ** 0.5": "its square",
        "energy = lambda cosine: 2 + 2 * cosine": "the sign of the cross term",
        "energy = lambda cosine: 1 - 2 * cosine": "One of the two squares is missing",
    },
    (2, 2): {
        "scale = 10.0": "Make the softmax sharper",
        "scale = 0.0": "A logit scale is above 0",
        "scale = 30": "begun to part",
    },
    (2, 3): {
        "move = lambda images, texts: (images, texts)": "still open",
        "move = lambda images, texts: tuple(torch.nn.functional.normalize(t - t.mean(0)) "
        "for t in (images, texts))": "what you do after it is not",
        "move = lambda images, texts: (images - images.mean(0), texts - texts.mean(0))": "without "
        "changing their order",
        "move = lambda images, texts: images": "Give two tables back",
        "move = lambda images, texts: (images[:9], texts)": "must keep their shape",
    },
    (2, 4): {
        "bar = lambda c, x: (2 + 2 * c).sqrt() * x": "subtract 1 from the root",
        "bar = lambda c, x: (1 + 2 * c) * x": "is a root",
        "bar = lambda c, x: ((2 + 2 * x).sqrt() - 1) * c": "have changed places",
    },
    (3, 1): {
        "mine = torch.ones(d) / d**0.5": "do not cancel",
        "mine = torch.ones(d); mine[::2] *= -1": "divide them all by the length",
        "mine = torch.zeros(3)": "Wanted 128 numbers",
    },
    (3, 2): {
        "second = GapHistogram(d, centre=-pooled['global'].dimension_means.float())\n"
        "second.update(image, text)": "wrong sign",
        "second = GapHistogram(d, centre=torch.full((d,), pooled['global'].moments.mean))\n"
        "second.update(image, text)": "the same number from each dimension",
        "second = GapHistogram(d, centre=pooled['global'].dimension_means.float())": "counted 0",
        "second = GapHistogram(d, centre=text.mean(0))\n"
        "second.update(image, text)": "Another vector",
    },
    (3, 3): {
        "mine = pair_cosine**0.5": "nearer to each other than to the caption",
        "mine = pair_cosine / 2": "does not halve",
        "mine = 2 * pair_cosine**2 - 1": "in one plane",
    },
    (3, 4): {
        "left, right = text, image": "only turns the gap round",
        "left, right = image, text[torch.randperm(n, generator=seeded(1))]": "its own caption",
        "c = torch.rand(n, d, generator=seeded(6)) < 0.5\n"
        "left, right = torch.where(c, text, image), torch.where(c, image, text)": "move whole rows",
    },
    (4, 1): {
        "moved = projections[1].points - projections[1].points.mean(0)": "centre of all points",
        "moved = projections[1].points * 0": "Neighbours have changed",
        "moved = projections[1].of('text')": "Wanted all",
    },
    (4, 2): {
        "fraction = 0.3": "close more of the gap",
        "fraction = 1.0": "close less of the gap",
        "fraction = 60": "between 0 and 1",
    },
    (4, 3): {
        "mine = float(two.of('text')[:, 0].mean() - two.of('image')[:, 0].mean())\n"
        "mine = abs(mine)": "Divide it by the gap norm",
        "mine = (two.of('text').mean(0) - two.of('image').mean(0))[1].abs() / gap": "second axis",
        "step = two.of('text')[:, 0].mean() - two.of('image')[:, 0].mean()\n"
        "mine = -abs(float(step)) / gap": "take the absolute value",
    },
    (5, 1): {
        "KEEP = 3": "Keep fewer",
        "KEEP = 0": "keep 1 to 5",
        "KEEP = 9": "keep 1 to 5",
    },
    (5, 2): {
        "my_edit = lambda caption: 'a dog'": "CLIPScore notices",
        "my_edit = lambda caption: caption.replace('xylophone', 'cat')": "No caption has changed",
        "my_edit = lambda caption: caption.replace('above', 'below')": "too little in each",
    },
    (5, 3): {
        "WEIGHT = 1.0": "one metric alone",
        "WEIGHT = 0.9": "Take less of it",
        "WEIGHT = 25": "between 0 and 1",
    },
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
