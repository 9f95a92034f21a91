"""Every loader that reads captions or questions, on every kind of text file that people have."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from vizer_core.data import read_folder, read_karpathy
from vizer_core.data.cc3m import StreamCounts, stream_cc3m_captions, stream_tars
from vizer_core.data.coco import read_annotations, read_results
from vizer_core.data.corpus import read_corpus
from vizer_core.data.flickr30k import read_flickr30k_tokens
from vizer_core.data.hub_stream import HubColumns, read_rows
from vizer_core.data.lines import read_lines
from vizer_core.data.vqav2 import read_answer_list, read_vqav2

MARK = b"\xef\xbb\xbf"  # what Windows writes at the start of a UTF-8 file


def put(folder, name, content: bytes):
    (folder / name).write_bytes(content)
    return folder / name


def as_json(value) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")


def karpathy_json(text):
    image = {"filename": "1.jpg", "split": "test", "sentences": [{"raw": text}]}
    return as_json({"images": [image]})


def read_karpathy_file(folder, content):
    (record,) = read_karpathy(put(folder, "k.json", content), None, "test", restval=False)
    return list(record.captions)


def token_line(text):
    return f"1.jpg#0\t{text}\r\n".encode("utf-8", "surrogateescape")


def read_token_file(folder, content):
    (record,) = read_flickr30k_tokens(put(folder, "r.token", content), None)
    assert record.id == "1.jpg"
    return list(record.captions)


def tsv_line(text):
    return f"{text}\thttp://x.example/1\r\n".encode("utf-8", "surrogateescape")


def read_tsv(folder, content):
    rows = list(stream_cc3m_captions(put(folder, "l.tsv", content), counts=StreamCounts()))
    assert [row.row for row in rows] == list(range(len(rows)))
    return [row.caption for row in rows]


def tar_text(text):
    return text.encode("utf-8", "surrogateescape")


def read_tar(folder, content):
    with tarfile.open(folder / "0.tar", "w") as tar:
        for name, part in (("0.jpg", b"pixels"), ("0.txt", content)):
            info = tarfile.TarInfo(name)
            info.size = len(part)
            tar.addfile(info, io.BytesIO(part))
    return [s.caption for s in stream_tars([folder / "0.tar"], counts=StreamCounts())]


def read_hub(folder, content):
    rows = [{"image": b"pixels", "caption": content}]
    samples = list(read_rows(rows, columns=HubColumns(), counts=StreamCounts()))
    return [text for sample in samples for text in sample.captions]


def mapping_json(text):
    return as_json({"1.jpg": [text]})


def lines_json(text):
    return as_json({"file_name": "1.jpg", "caption": text}) + b"\r\n"


def coco_json(text):
    return as_json({"images": [{"id": 1, "file_name": "1.jpg"}],
                    "annotations": [{"image_id": 1, "caption": text}]})  # fmt: skip


def read_captioned(folder, content, name="c.json"):
    (folder / "1.jpg").write_bytes(b"pixels")
    (record,) = read_folder(folder, put(folder, name, content))
    return list(record.captions)


def read_captioned_lines(folder, content):
    return read_captioned(folder, content, "c.jsonl")


def list_json(text):
    return as_json([text])


def read_corpus_json(folder, content):
    return list(read_corpus(put(folder, "c.json", content)).captions)


def read_corpus_lines(folder, content):
    return list(read_corpus(put(folder, "c.txt", content)).captions)


def question_json(text):
    return as_json({"questions": [{"question_id": 1, "image_id": 1, "question": text}]})


def read_questions(folder, content):
    row = {"question_id": 1, "image_id": 1, "question_type": "", "answer_type": "",
           "multiple_choice_answer": "yes", "answers": [{"answer": "yes"}]}  # fmt: skip
    answers = put(folder, "a.json", as_json({"annotations": [row]}))
    (item,) = read_vqav2(put(folder, "q.json", content), answers)
    return [item.question]


# name: how a caption is written, how it is read, whether the form can hold a line break
FORMS = {
    "karpathy": (karpathy_json, read_karpathy_file, True),
    "flickr tokens": (token_line, read_token_file, False),
    "cc3m list": (tsv_line, read_tsv, False),
    "cc3m tar": (tar_text, read_tar, True),
    "hub": (tar_text, read_hub, True),
    "folder": (mapping_json, read_captioned, True),
    "folder lines": (lines_json, read_captioned_lines, True),
    "folder coco": (coco_json, read_captioned, True),
    "corpus": (list_json, read_corpus_json, True),
    "corpus lines": (lambda text: f"{text}\r\n".encode("utf-8", "surrogateescape"),
                     read_corpus_lines, False),
    "vqav2": (question_json, read_questions, True),
}  # fmt: skip
DROPS_WHAT_IS_NO_UTF8 = ("cc3m tar", "hub")
DROPS_BLANKS = ("karpathy", "cc3m list", "cc3m tar", "hub")
forms = pytest.mark.parametrize("form", FORMS)


@forms
@pytest.mark.parametrize(
    "text", ["a cat", '"a cat"', 'a "big" cat', "it's a cat", "猫 Kätzchen 🐈", "a, b; c | d \\ e"]
)
def test_captions_come_as_they_were_written_quotes_too(form, text, tmp_path):
    write, read, _ = FORMS[form]
    assert read(tmp_path, write(text)) == [text]


@forms
def test_a_mark_at_the_start_of_a_file_is_no_part_of_it(form, tmp_path):
    write, read, _ = FORMS[form]
    assert read(tmp_path, MARK + write("a cat")) == ["a cat"]


@forms
def test_line_breaks_tabs_and_edges_become_single_spaces(form, tmp_path):
    write, read, breaks = FORMS[form]
    text = "\ta cat\r\nsits \n\n there\u2028now  " if breaks else "  a cat  sits there\u2028now "
    assert read(tmp_path, write(text)) == ["a cat sits there now"]


@forms
def test_what_is_not_utf8_is_refused_by_name_or_left_out(form, tmp_path):
    write, read, _ = FORMS[form]
    latin = write("a caf\udce9")  # the byte that Latin-1 has for é
    assert b"caf\xe9" in latin
    if form in DROPS_WHAT_IS_NO_UTF8:
        assert read(tmp_path, latin) == []
        return
    with pytest.raises(ValueError, match=r"(k|c|q)\.json|r\.token|l\.tsv|c\.(txt|jsonl)") as caught:
        read(tmp_path, latin)
    assert not isinstance(caught.value, UnicodeDecodeError) and "UTF-8" in str(caught.value)


@forms
def test_blank_captions_are_left_out_or_refused(form, tmp_path):
    write, read, _ = FORMS[form]
    if form in DROPS_BLANKS:
        assert read(tmp_path, write(" ")) == []
        return
    with pytest.raises(ValueError, match=r"empty caption|wanted|at least one"):
        read(tmp_path, write(" "))


@pytest.mark.parametrize("form", [n for n in FORMS if n not in ("cc3m tar", "hub", "corpus lines")])
@pytest.mark.parametrize("content", [b"", b"null", b"{oh", b"[]", b"<html>404</html>", b'"text"'])
def test_files_that_are_something_else_are_named(form, content, tmp_path):
    _, read, _ = FORMS[form]
    if content == b"" and form == "cc3m list":
        assert read(tmp_path, content) == []
        return
    with pytest.raises(ValueError, match=r"(k|c|q)\.json|r\.token|l\.tsv|c\.jsonl|corpus 'c'"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "header",
    ["caption\turl", "Caption\tURL", "url\tcaption", '"caption"\t"url"', "\r\ncaption\turl"],
)
def test_the_header_that_img2dataset_wants_is_no_row(header, tmp_path):
    row = ["a cat", "http://x.example/1"]
    line = "\t".join(row[::-1] if header.startswith("url") else row)
    assert read_tsv(tmp_path, f"{header}\r\n{line}\r\n{line}\r\n".encode()) == ["a cat"] * 2


def test_two_tar_files_of_one_name_would_give_ids_twice(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        read_tar(tmp_path / name, b"a cat")
    tars = [tmp_path / name / "0.tar" for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"a second tar file 0\.tar"):
        list(stream_tars(tars, counts=StreamCounts()))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"filename": 7, "split": "test", "sentences": []}, "filename is 7"),
        ({"filename": "a.jpg", "split": None, "sentences": []}, "split is None"),
        ({"filename": "a.jpg", "split": "test", "sentences": None}, "sentences is None"),
    ],
)
def test_fields_of_another_kind_are_named(image, message, tmp_path):
    path = put(tmp_path, "k.json", as_json({"images": [image]}))
    with pytest.raises(ValueError, match=rf"k\.json, image 0.*{message}"):
        read_karpathy(path, None, "test", restval=False)


@pytest.mark.parametrize("question", [None, 7, ["what ?"]])
def test_a_question_that_is_no_text_is_named(question, tmp_path):
    with pytest.raises(ValueError, match="question 1 is not as in VQAv2"):
        read_questions(tmp_path, question_json(question))


def test_a_question_that_stands_twice_is_named(tmp_path):
    content = json.loads(question_json("is it ?"))
    content["questions"] *= 2
    with pytest.raises(ValueError, match=r"2 questions of 1 different numbers"):
        read_questions(tmp_path, as_json(content))


def test_rows_of_a_hub_without_ids_are_named_by_place():
    rows = [{"image": b"x", "caption": "a cat", "key": None}]
    options = {"counts": StreamCounts()}
    (sample,) = read_rows(rows, columns=HubColumns(), **options)
    assert sample.id == "000000000"
    with pytest.raises(ValueError, match="row 0 has no id in column 'key'"):
        list(read_rows(rows, columns=HubColumns(id="key"), **options))
    assert read_hub(None, ["a cat", None, "", "a dog"]) == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_results, [{"image_id": 1, "caption": "a cat"}]),
        (read_annotations, {"annotations": [{"image_id": 1, "caption": "a cat"}]}),
    ],
)
def test_coco_files_with_a_mark_are_read(read, content, tmp_path):
    found = read(put(tmp_path, "r.json", MARK + as_json(content)))
    assert found in ({1: "a cat"}, {1: ["a cat"]})


def test_an_answer_list_with_a_mark_is_the_same_list(tmp_path):
    listed = put(tmp_path, "a.json", as_json(["yes", "no"]))
    marked = put(tmp_path, "b.json", MARK + as_json(["yes", "no"]))
    first = read_answer_list(listed, sha256=None, count=2)
    assert read_answer_list(marked, sha256=first.sha256, count=2) == first


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a cat\ra dog\r", ["a cat", "a dog"]),
        (b"a cat\r\ra dog", ["a cat", "", "a dog"]),
        (MARK + b"a cat\ra dog\r", ["a cat", "a dog"]),
        (b"a cat\rsits\na dog", ["a cat\rsits", "a dog"]),
        (b"a cat", ["a cat"]),
        (b"", []),
    ],
)
def test_carriage_returns_end_lines_where_no_line_feed_does(content, lines, tmp_path):
    assert [line for _, line in read_lines(put(tmp_path, "l.txt", content))] == lines
    with pytest.raises(ValueError, match=r"line 2 is not UTF-8"):
        list(read_lines(put(tmp_path, "l.txt", b"a cat\r\xe9")))


def test_lines_have_their_numbers_and_the_wrong_one_is_named(tmp_path):
    path = put(tmp_path, "l.txt", MARK + "one\r\n\ntwo\u2028\x85\rthree".encode())
    assert list(read_lines(path)) == [(1, "one"), (2, ""), (3, "two\u2028\x85\rthree")]
    lines = read_lines(put(tmp_path, "l.txt", b"one\ntw\xe9\n"))
    assert next(lines) == (1, "one")
    with pytest.raises(ValueError, match=r"l\.txt, line 2 is not UTF-8: byte 0xe9 at place 2\."):
        next(lines)
