"""The runtime's own commands: settings, topics, doctor."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings
from obflow.terminal import say, say_lines
from schemas.errors import EXIT_DONE, EXIT_FAILED, SettingsError

AUDITED = ("expected", "stored", "lost", "duplicates", "instruments")


def settings(
    origin: Annotated[bool, typer.Option("--origin", help="Add where each value came from.")] = False,
    env: Annotated[bool, typer.Option("--env", help="Print all there are, as environment variables.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of obflow.toml.")] = False,
    json: JsonFlag = False,
) -> None:
    """Print every setting in force, secrets masked.

    Example: obflow settings --origin --set kafka.partitions=8
    """
    from obflow.settings import json_schema, reference_text

    if env:
        say_lines(reference_text().rstrip("\n"))
        return
    if schema:
        emit_json(json_schema())
        return
    try:
        loaded = load_settings()
    except SettingsError:  # whoever is told to look here has settings that cannot be loaded
        if not json:
            say_lines(reference_text().rstrip("\n"))
        raise
    shown, origins = loaded.shown(), loaded.origins()
    if json:
        emit_json({key: {"value": value, "origin": origins[key]} if origin else value for key, value in shown.items()})
        return
    width = max(map(len, shown))
    for key, value in shown.items():
        line = f"{key:<{width}}  {value}"
        say(f"{line}  ({origins[key]})" if origin else line)


topics = typer.Typer(help="Create the declared topics on the broker, or check them.", no_args_is_help=True)


@topics.command()
def apply(json: JsonFlag = False) -> None:
    """Create missing topics and set options right; doing it again changes nothing.

    Example: obflow topics apply --set kafka.bootstrap_servers=127.0.0.1:9092
    """
    from obflow.topics import apply as apply_topics

    settings = load_settings()
    done = apply_topics(settings)
    if json:
        emit_json(
            {"created": done.created, "changed": [str(change) for change in done.changed], "unchanged": done.unchanged}
        )
        return
    for name in done.created:
        say(f"created {name} ({settings.kafka.partitions} partitions)")
    for change in done.changed:
        say(f"changed {change.topic}: {change.what} from {change.found} to {change.declared}")
    say(f"{len(done.unchanged)} topics were as declared")


@topics.command()
def check(json: JsonFlag = False) -> int:
    """Name every difference between the declared topics and the broker's; exits with 1 if there is one.

    Example: obflow topics check --json
    """
    from obflow.topics import check as check_topics
    from schemas.topics import TOPICS

    differences = check_topics(load_settings())
    if json:
        emit_json({"topics": len(TOPICS), "differences": [str(difference) for difference in differences]})
    else:
        for difference in differences:
            say(f"{difference}")
        if not differences:
            say(f"all {len(TOPICS)} topics are as declared")
        elif all(difference.mendable for difference in differences):
            say("`obflow topics apply` mends this")
        else:
            say("another number of partitions needs new topics: set kafka.topic_prefix or kafka.partitions")
    return EXIT_FAILED if differences else EXIT_DONE


def doctor(
    audit: Annotated[bool, typer.Option("--audit", help="Also compare what is stored with the whole log.")] = False,
    digests: Annotated[
        bool, typer.Option("--digests", help="Also compute all of it anew and compare to the bit; slow on a long log.")
    ] = False,
    known_log: Annotated[
        list[str] | None, typer.Option(help="A log that is gone: accept its rows without an audit; repeatable.")
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Look for what would keep the pipeline from working, and say what mends it; exits with 1 if there is anything.

    Example: obflow doctor --audit --json
    """
    from obflow.doctor import audit as run_audit
    from obflow.doctor import audit_lines, audit_problems, digests_equal, event_problems, examine

    loaded = load_settings()
    findings = examine(loaded)
    width = max((len(finding.name) for finding in findings), default=0)
    if not json:
        for finding in findings:
            remedy = f": {finding.remedy}" if finding.remedy else ""
            _line(finding.ok, f"{finding.name:<{width}}  {finding.detail}{remedy}")
    audited = run_audit(loaded, digests=digests, known_logs=known_log or ()) if audit or digests else None
    problems = audit_problems(audited) if audited else []
    well = all(finding.ok for finding in findings) and not problems
    if json:
        result: dict[str, object] = {"ok": well, "checks": [finding._asdict() for finding in findings]}
        if audited:
            counted = {name: getattr(audited, name) for name in AUDITED} | {"problems": problems}
            counted["lines"] = [line._asdict() for line in audit_lines(audited)]
            if audited.contents is not None:
                counted |= {"digests": audited.contents, "digests_equal": digests_equal(audited.contents)}
            result["audit"] = counted
        emit_json(result)
    elif audited:
        counts = ", ".join(f"{name} {getattr(audited, name)}" for name in AUDITED[:-1])
        if audited.contents is not None:
            counts += "".join(f", digests {what} {n}" for what, n in Counter(audited.contents.values()).items())
        events = event_problems(audited)
        _line(not events, "; ".join([f"{'audit':<{width}}  {counts}", *events]))
        for line in audit_lines(audited):
            counts = ", ".join(f"{name} {count}" for name, count in line.counts.items())
            _line(
                not line.problems,
                "; ".join([f"{'audit':<{width}}  {line.name}: {counts}", *line.problems, *line.notes]),
            )
    return EXIT_DONE if well else EXIT_FAILED


def _line(ok: bool, text: str) -> None:
    say(f"{'ok  ' if ok else 'FAIL'}  {text}")
