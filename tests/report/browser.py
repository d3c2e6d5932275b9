"""A real browser for the tests of the report: headless Chromium, which may ask nobody, and what it asked for all the same."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "browsing"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 30


class Browser:
    """One window. ``click`` and the like wait for nothing: the page answers at once, except where :meth:`until` is used."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, file: Path) -> float:
        """Open a file, and give the seconds until it was drawn."""
        self.driver.get_log("performance")
        began = time.monotonic()
        self.driver.get(file.as_uri())
        self.until(lambda: self.js("return document.documentElement.dataset.ready") == "true")
        return time.monotonic() - began

    def js(self, code: str, *arguments: object) -> Any:
        return self.driver.execute_script(code, *arguments)

    def until(self, holds: Callable[[], object]) -> None:
        """Wait for a condition."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "the page did not come to it"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def type(self, selector: str, keys: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(keys)

    def texts(self, selector: str) -> list[str]:
        """Give the texts of all elements that match, as they stand in the page."""
        return list(self.js("return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector))

    def choose(self, selector: str, label: str) -> None:
        self.js(
            "const [box, label] = [document.querySelector(arguments[0]), arguments[1]];"
            "box.value = [...box.options].find((one) => one.textContent === label).value; box.dispatchEvent(new Event('change'))",
            selector,
            label,
        )

    def size(self, width: int, height: int = 900) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        )

    def prefer(self, scheme: str) -> None:
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def requests(self) -> list[str]:
        """Give the addresses that were asked for since the last opening."""
        messages = [json.loads(row["message"])["message"] for row in self.driver.get_log("performance")]
        return [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """Give what the browser refused or could not do since the last time."""
        return [row["message"] for row in self.driver.get_log("browser")]


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it; skip where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium here")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    steering = shutil.which("chromedriver")
    if program is None or steering is None:
        pytest.skip("no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
                 "--window-size=1280,900", "--force-color-profile=srgb", f"--user-data-dir={folder}"]  # fmt: skip
    for argument in [*arguments, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=steering))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
