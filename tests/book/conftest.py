"""A book built from this checkout, in a temporary folder, once for all tests that look at it."""

from __future__ import annotations

import base64
import copy
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from built_book import ROOT, build_book


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML of this checkout's book."""
    return build_book(ROOT, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def checkout_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of this checkout that the builder reads, in a folder that a test may edit."""
    copy = tmp_path_factory.mktemp("copy") / "checkout"
    for name in ("book", "notebooks", "results", "tools", "vizer_core", "vizer_lab"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "_toc.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    return copy


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing: the tests look at the browser's log."""


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The address of a local server that shows the book."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Headless Chromium. Without one: skipped on a laptop, failed in CI."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "no chromium and chromedriver: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must look at the pages: {reason}")
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run hide-scrollbars "
    flags += "disable-background-networking disable-component-update disable-sync "
    flags += "disable-dev-shm-usage disable-default-apps"
    for flag in flags.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page for each explorer, to be opened without a server."""
    from explorer_pages import EXPLORERS, write_pages

    return write_pages(tmp_path_factory.mktemp("explorers"), EXPLORERS)


@pytest.fixture
def opened(pages, browser):
    """Open the page of an explorer at a width and in a theme, and wait until it is drawn."""
    from explorer_pages import all_of
    from selenium.webdriver.support.wait import WebDriverWait

    def show(name: str, state: str = "", *, width: int = 1300, theme: str = "light"):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        browser.get("about:blank")  # a page that differs behind # only would not be loaded again
        browser.get_log("browser")
        browser.get(f"{(pages / f'{name}.html').as_uri()}{state}")
        browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        WebDriverWait(browser, 60).until(lambda b: all_of(b, "[data-explorer][data-state]"))
        return browser

    return show


@pytest.fixture(scope="module")
def rounded_clip():
    """The live CLIP with the weights that the page has: rounded to 8 bits."""
    import numpy as np
    import torch

    from tools.explorer_data import LIVE
    from tools.explorer_figures import stored
    from vizer_lab.studies.clip_study import open_drawn

    study = open_drawn(LIVE, n=3)
    rounded = copy.deepcopy(study.encoder)
    for name, value in stored("towers")["weights"].items():
        if "q" in value:
            whole = np.frombuffer(base64.b64decode(value["q"]), dtype=np.int8)
            scale = np.frombuffer(base64.b64decode(value["s"]), dtype=np.float32)
            array = whole.reshape(len(scale), -1).astype(np.float32) * scale[:, None]
        else:
            array = np.frombuffer(base64.b64decode(value["f"]), dtype=np.float32)
        weight = rounded.model.state_dict()[name]
        weight.copy_(torch.from_numpy(array.copy()).view_as(weight))
    return study, rounded
