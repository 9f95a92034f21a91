"""A corpus is read out of every form that captions come in, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

from vizer_core.data.coco import coco2014
from vizer_core.data.corpus import Step, corpus_of_captions, read_corpus
from vizer_core.data.corpus_file import _unknown_columns
from vizer_core.data.leakage import check_leakage
from vizer_core.data.not_captions import what_else
from vizer_core.data.records import Record

TWO = ("A cat , asleep .", "a dog")
COCO = {"images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 7, "caption": text} for text in TWO]}  # fmt: skip
ROWS = [{"image_id": 7, "caption": TWO[0]}, {"image_id": 8, "caption": TWO[1]}]

# file name -> (what is in it, the images that it names)
FORMS = {
    "plain.txt": ("A cat , asleep .\na dog\n", ()),
    "list.json": (json.dumps(TWO), ()),
    "flickr8k.txt": ('image,caption\n1.jpg,"A cat , asleep ."\n1.jpg,a dog\n', ("1.jpg", "1.jpg")),
    "results.csv": (
        "image_name| comment_number| comment\n1.jpg| 0| A cat , asleep .\n2.jpg| 1| a dog\n",
        ("1.jpg", "2.jpg"),
    ),
    "one.csv": ('caption\n"A cat , asleep ."\na dog\n', ()),
    "table.tsv": ("Caption\tscore\nA cat , asleep .\t1\na dog\t2\n", ()),
    "metadata.jsonl": (
        '{"file_name": "1.jpg", "text": "A cat , asleep ."}\n\n{"file_name": "2", "text": "a dog"}',
        ("1.jpg", "2"),
    ),
    "lines.txt": ('{"caption": ["A cat , asleep .", "a dog"]}\n', ()),
    "Train_GCC.tsv": (
        "A cat , asleep .\thttp://x.example/1.jpg\na dog\thttps://x.example/2\n\n",
        (),
    ),
    "cc12m.tsv": ("http://x.example/1.jpg\tA cat , asleep .\nhttps://x.example/2\ta dog\n", ()),
    "header.tsv": ("caption\turl\nA cat , asleep .\thttp://x.example/1\na dog\thttp://x/2\n", ()),
    "results.token": ("1.jpg#0\tA cat , asleep .\n1.jpg#1\ta dog\n", ("1.jpg", "1.jpg")),
    "coco.json": (json.dumps(COCO), ("7", "7")),
    "bare.json": (json.dumps({"annotations": ROWS}), ("7", "8")),
    "rows.json": (json.dumps(ROWS), ("7", "8")),
    "mapping.json": (json.dumps({"a.jpg": TWO[0], "b.jpg": [TWO[1]]}), ("a.jpg", "b.jpg")),
    "open_clip.csv": (
        "filepath\ttitle\n1.jpg\tA cat , asleep .\n2.jpg\ta dog\n",
        ("1.jpg", "2.jpg"),
    ),
    "title.csv": (
        'filepath,title\n1.jpg,"A cat , asleep ."\n2.jpg,a dog\n',
        ("1.jpg", "2.jpg"),
    ),
    "alt.csv": ('image,alt_text\n1.jpg,"A cat , asleep ."\n2.jpg,a dog\n', ("1.jpg", "2.jpg")),
    "flickr30k.csv": (
        'raw,sentids,split,filename,img_id\n"[""A cat , asleep ."", ""a dog""]","[0, 1]",train,'
        "1.jpg,0\n",
        ("1.jpg", "1.jpg"),
    ),
    "python.csv": ("raw;id\n['A cat , asleep .', 'a dog'];7\n", ("7", "7")),
    "web.csv": (
        'url,caption\nhttp://x.example/1,"A cat , asleep ."\nhttp://x.example/2,a dog\n',
        (),
    ),
    "strings.jsonl": ('"A cat , asleep ."\n"a dog"\n', ()),
    "mac.txt": ("A cat , asleep .\ra dog\r", ()),
    "mac.csv": ('image,caption\r1.jpg,"A cat , asleep ."\r2.jpg,a dog', ("1.jpg", "2.jpg")),
}
REFUSED = {
    "open.csv": ("image,caption\n1.jpg,A cat , asleep .\n", "row 1 has 3 columns, wanted 2"),
    "names.txt": ("1.jpg A cat.\n2.jpg A dog.\n", "a file's name in 2 of 2 lines"),
    "names.csv": ("1.jpg,A cat.\n2.jpg,A dog.\n", "a file's name in 2 of 2 lines"),
    "tabs.txt": ("A cat.\tx\nA dog.\ty\nA cow\n", "a table with tabs in 2 of 3 lines"),
    "behind.txt": ("a cat,1.jpg\na dog,2.jpg\n", "a file's name in 2 of 2 lines"),
    "quoted.txt": ('"1.jpg","a cat"\n"2.jpg","a dog"\n', "a file's name in 2 of 2"),
    "some.txt": ("a cat\n1.jpg a dog\na cow\n2.jpg a cat\n", "a file's name in 2 of 4"),
    "turns.txt": ("1.jpg\na cat\n2.jpg\na dog\n", "a file's name in 2 of 4"),
    "numbers.txt": ("42,a cat\n57,a dog\n", "a number or an id beside the captions in 2 of 2"),
    "coco.txt": ("COCO_val2014_000000000042,a cat\n" * 2, "a number or an id beside"),
    "padded.txt": ("000000000042 a cat\n000000000043 a dog\n", "a number or an id beside"),
    "score.txt": ("a cat,0.9\na dog,0.8\n", "a number or an id beside"),
    "video.txt": ("video7010 a cat\nvideo7011 a dog\n", "a number or an id beside"),
    "list.txt": ("1. a cat\n2. a dog\n", "a number or an id beside"),
    "counted.txt": ("1 cat\n2 dogs\n3 men\n4 cows\n5 hens\n", "numbers its lines"),
    "unknown.csv": ("name,words\nx,a cat\ny,a dog\n", "a table of name, words: call the column"),
    "comment.token": ("# Flickr tokens\n1.jpg#0\ta cat\n", "first '# Flickr tokens': take them"),
    "comment.txt": ("# captions\na cat\na dog\n", "begins with a comment or a heading"),
    "keys.txt": ("one: a cat\ntwo: a dog\n", "looks like YAML, keys with a colon in 2 of 2"),
    "items.txt": ("captions:\n  - a cat\n  - a dog\n", "a list with a mark before 2 of 3"),
    "marked.txt": ("---\na cat\n", "is YAML"),
    "film.txt": ("1\n00:00:01,000 --> 00:00:02,000\na cat\n", "contains subtitles"),
    "paper.txt": (b"%PDF-1.7\n\xe2", "is a PDF"),
    "bytes.txt": (b"a cat\n\0\0", "is no text"),
    "code.txt": ("import os\n\nx = 3\nprint(x)\n# done\n", "looks like a program by 3 of 4"),
    "tex.txt": ("\\documentclass{article}\n\\begin{document}\na cat\n", "a text for TeX by 2 of 3"),
    "captions.py": ("a cat\n", r"ends in \.py, as no file of captions does"),
    "names.json": ('["1.jpg", "2.jpg"]', "a file's name in 2 of 2"),
    "strings.txt": ('"a cat"\n"a dog"\n' * 50 + "a cow\n", "line 101 is 'a cow', wanted a JSON st"),
    "urls.txt": ("http://x.example/1\nhttp://x.example/2\n", "a list of addresses"),
    "page.txt": ("<!DOCTYPE html>\n<html>404</html>\n", "a web page or XML"),
    "lfs.txt": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of git-lfs"),
    "json.txt": ('["a cat",\n"a dog"]\n', r"is JSON: end its name in \.json"),
    "mixed.jsonl": ('{"text": "a cat"}\na dog\n', "line 2 is 'a dog', wanted a JSON"),
    "chat.jsonl": ('{"image": "1.jpg", "turns": []}\n', "an object of image, turns, wanted"),
    "chat.json": ('[{"image": "1.jpg", "turns": []}]', "row 0 is no caption"),
    "split.json": ('{"images": [], "dataset": "coco"}', "Karpathy's files, of all splits"),
    "manifest.json": ('{"model": "x", "version": "1"}', "is no list of captions"),
    "packed.txt": (b"\x1f\x8b\x08\x00", "packed by gzip"),
    "quote.csv": ('image,caption\n1.jpg,"a" cat\n', "line 2: .* wanted quotes around"),
}  # fmt: skip


def put(folder, name, content):
    content = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("name", FORMS)
def test_captions_come_out_alike_and_keep_their_images(name, tmp_path):
    content, images = FORMS[name]
    corpus = read_corpus(put(tmp_path, name, content))
    assert corpus.captions == TWO and corpus.image_ids == images
    assert corpus.sha256 == corpus_of_captions("other", TWO).sha256


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_captions_is_named(name, tmp_path):
    content, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        read_corpus(put(tmp_path, name, content))
    assert name in str(caught.value) and "wanted" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2 dogs",
        "a cat\tsits\na dog",
        "[unk] a cat",
        "text\na cat",
        "{a cat}",
        "a photo, caption",
        "a.b c",
        "2 dogs run\n3 men, in 2 boats\nthree cats",
        "1 dog\n2 dogs\n2 men",
        "1 dog\n2 dogs\n3 men",
        "2,000 people\n2,500 people",
        '"Stop" says a sign\na "big" cat\n\'a cat\'',
        '"a cat"',
        "Paris, 1945\nRome, 1950",
        "sunset, beach\na dog, running",
        "dogs,running\ncats,asleep",
        "a sign: stop\nNote: a cat\nit says 10:30\na dog; asleep\na man - with a hat\na (red) cat",
        "1950s kitchen\n747 jet, red\n100% cotton\n$5 bill\n#1 fan",
        "a photo of a page of file.jpg\na cat\na dog\na cow\na hen",
        "return of the king\na cat\na dog\na cow\na hen\nfrom above, a city",
    ],
)
def test_captions_that_only_look_like_another_form_are_read(text, tmp_path):
    corpus = read_corpus(put(tmp_path, "c.txt", text))
    assert corpus.captions == tuple(" ".join(line.split()) for line in text.split("\n"))


def test_no_run_of_the_real_captions_is_taken_for_another_form():
    """Runs of 2 to 100 captions, as written and sorted, where a number or a name comes first."""
    texts = [text for record in coco2014("val")[:2000] for text in record.captions]
    for order in (texts, sorted(texts), sorted(texts, key=lambda text: text[-5:])):
        for n in (2, 5, 100):
            runs = (order[i : i + n] for i in range(0, len(order), 41))
            assert [run for run in runs if what_else(run) or _unknown_columns(run)] == []


def test_the_images_that_a_file_names_are_known_to_the_leakage_check(tmp_path):
    corpus = read_corpus(put(tmp_path, "coco.json", json.dumps(COCO)))
    report = check_leakage(corpus, [Record("COCO_val2014_000000000007.jpg", None, ("a bird",))])
    assert report.ids_known and report.shared_images == ("COCO_val2014_000000000007.jpg",)


def test_blank_captions_of_any_form_are_counted(tmp_path):
    content = "image,caption\n1.jpg,a cat\n2.jpg,\n"
    corpus = read_corpus(put(tmp_path, "t.csv", content))
    assert corpus.captions == ("a cat",) and corpus.image_ids == ("1.jpg",)
    assert corpus.steps == (Step("blank captions", 1, 1),)
