"""The voice of docstrings and pages: small rules that a program can check. Spelling is codespell's."""

import ast
import re
from pathlib import Path

import adacross

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
PRONOUN = re.compile(r"(Who|Which|Whose|Whom|What|Whatever|Whether|How|Those|Nobody)\b")
HABIT = re.compile(r"\b(nobody|whoever|(is|are|was|were) said|goes on where|stands? beside)\b", re.IGNORECASE)


def test_docstrings_begin_with_a_verb_or_a_noun_of_the_field():
    wrong = []
    for path in sorted(Path(adacross.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if PRONOUN.match(text):
                    wrong.append(f"{path.name}:{getattr(node, 'lineno', 1)} {text.splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_pages_have_plain_headings_and_sentences():
    wrong = []
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            if HABIT.search(line) or PRONOUN.match(line.lstrip("#- ")):
                wrong.append(f"{page.name}:{number} {line}")
    assert not wrong, "\n".join(wrong)
