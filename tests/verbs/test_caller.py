"""The name that an acceptance is written down under."""

from fimkit.verbs.caller import load_caller, name_caller

NAMES = {0: "root", 1000: "eve", 1001: "adam"}.__getitem__


def test_login_of_the_kernel_goes_before_what_the_environment_says() -> None:
    assert name_caller(1000, {"SUDO_USER": "adam"}, 0, NAMES) == "eve as root"


def test_sudo_is_believed_of_root_alone() -> None:
    assert name_caller(None, {"SUDO_USER": "adam"}, 1000, NAMES) == "eve"


def test_login_that_acts_for_itself_is_named_once() -> None:
    assert name_caller(0, {}, 0, NAMES) == "root"
    assert name_caller(1000, {}, 1001, NAMES) == "eve as adam"


def test_user_without_a_name_is_a_number() -> None:
    assert name_caller(4_000_000_000, {}, 0) == "uid 4000000000 as root"


def test_somebody_calls_this_test() -> None:
    assert load_caller() != ""
