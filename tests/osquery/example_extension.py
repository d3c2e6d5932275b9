"""An extension on the ``osquery`` package, for the conformance tests: what it registers is named by the environment.

``EXAMPLE_KIND`` is ``table`` (the default), ``logger`` or ``config``; ``EXAMPLE_LOG`` is a file that gets a line for each call.
"""

import json
import os
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import osquery

KIND = os.environ.get("EXAMPLE_KIND", "table")


def note(what: object) -> None:
    with open(os.environ.get("EXAMPLE_LOG", os.devnull), "a") as file:
        file.write(json.dumps(what) + "\n")


class ExampleTable(osquery.TablePlugin):
    def name(self) -> str:
        return "fimkit_example"

    def columns(self) -> list[object]:
        return [
            osquery.TableColumn(name="path", type=osquery.STRING),
            osquery.TableColumn(name="n", type=osquery.INTEGER),
            osquery.TableColumn(name="time", type="BIGINT"),
        ]

    def generate(self, context: dict[str, object]) -> list[dict[str, str]]:
        note(context)
        return [{"path": f"/etc/{number}", "n": str(number), "time": str(number * 1000)} for number in range(10)]


class ExampleLogger(osquery.LoggerPlugin):
    def name(self) -> str:
        return "fimkit_example_logger"

    def log_string(self, value: str) -> object:
        note(value)
        return osquery.extensions.ttypes.ExtensionStatus(code=0, message="OK")


class ExampleConfig(osquery.ConfigPlugin):
    def name(self) -> str:
        return "fimkit_example_config"

    def content(self) -> list[dict[str, str]]:
        return [{"source": "{}"}]


if __name__ == "__main__":
    note(sys.argv[1:])
    osquery.register_plugin({"table": ExampleTable, "logger": ExampleLogger, "config": ExampleConfig}[KIND])
    osquery.start_extension(name=f"fimkit_example_{KIND}", version="1.0.0")
