"""The form in which a language model was trained to read texts: how they begin and how they end.

A real model knows marks that its tokenizer does not name as the begin of a text, and has read
sentences. SmolLM2-135M-Instruct takes its tokenizer's BOS, `<|im_start|>`, for a turn of a chat,
and is surprised by a caption that ends without a full stop: of 64 captions of COCO each token
costs it 6.1 nats as bare words after that mark, and 4.6 as sentences after `<|endoftext|>`.
Models that were trained on captions, as the shipped one, take them as they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from vizer_core.files import read_record, write_json

ENDS = (".", "!", "?")


@dataclass(frozen=True)
class TextForm:
    """What stands in front of a text, and whether texts are sentences.

    `start_mark` is a token of the vocabulary; None is the tokenizer's own BOS. With `sentences` a
    text is read with a full stop at its end, and what is generated loses it again, so that metrics
    see captions of one form whichever model generated them.
    """

    start_mark: str | None = None
    sentences: bool = False

    def read(self, text: str) -> str:
        """Return a text as the model is to read it.

        >>> form = TextForm(sentences=True)
        >>> form.read("a dog"), form.read("a dog. "), form.read("a dog!"), form.read("")
        ('a dog.', 'a dog.', 'a dog!', '')
        >>> TextForm().read("a dog")
        'a dog'
        """
        if not self.sentences:
            return text
        body = text.rstrip()
        return body if not body or body.endswith(ENDS) else f"{body}."

    def generated(self, text: str) -> str:
        """Return a generated text as a caption: stripped, and without the full stop it added.

        >>> form = TextForm(sentences=True)
        >>> form.generated(" a dog. "), form.generated("a dog"), TextForm().generated(" a dog. ")
        ('a dog', 'a dog', 'a dog.')
        """
        text = text.strip()
        return text.removesuffix(".").rstrip() if self.sentences else text


# by the names of `vizer_core.wheels`
FORMS = {"smollm2-135m": TextForm("<|endoftext|>", sentences=True)}


FORM_FILE = "text_form.json"  # in the folder of a model that was tuned on texts of one form


def form_of(name: object) -> TextForm:
    """Return the form that a model of this name, or in this folder, wants.

    Others are read as their tokenizer says. Raises `ValueError` where a folder's file of it is
    broken.

    >>> form_of("smollm2-135m").start_mark, form_of("facebook/opt-125m").start_mark
    ('<|endoftext|>', None)
    """
    file = Path(str(name)) / FORM_FILE
    if not file.is_file():
        return FORMS.get(str(name), TextForm())
    found = read_record(file)
    if found.keys() != {"start_mark", "sentences"}:
        raise ValueError(
            f"{file} has {sorted(found)}: wanted start_mark and sentences, as a tuned model has"
        )
    return TextForm(found["start_mark"], bool(found["sentences"]))


def save_form(form: TextForm, folder: Path) -> None:
    """Write beside a model's weights in which form it is to be read."""
    write_json(folder / FORM_FILE, asdict(form))
