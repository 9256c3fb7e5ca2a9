"""The checks of a submission, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2l_autorec.course import anatomy, judge, judge_evaluator, questions
from d2l_autorec.course.dialogue import Dialogue, Stop, mapping, number
from d2l_autorec.course.report import CHECKS, NOT_REACHED, RIGHT, WRONG, Finding
from d2l_autorec.course.sandbox import Ended, Sandbox
from d2l_autorec.errors import plain

Load = Callable[[Sandbox], dict[str, Any]]
Matrices = tuple[np.ndarray, np.ndarray]

_LESSON = "04-autorec"
_BATCH, _HIDDEN, _USERS, _ITEMS = 5, 4, 7, 11


class Nothing(Exception):
    """There is nothing to look at."""


class Examination(Dialogue):
    """The questions, in order. A check that fails does not stop those that do not need it."""

    def __init__(
        self, sandbox: Sandbox, rng: np.random.Generator, matrices: Matrices | None
    ) -> None:
        super().__init__(sandbox, rng)
        self.matrices = matrices
        self.rows = questions.ratings(rng, _BATCH, _USERS, 0.5)
        self.findings: dict[str, Finding] = {}
        self.gone = ""  # the check in which the process ended
        self.given: dict[str, Any] = {}

    def run(self, load: Load) -> list[Finding]:
        """Make all checks, and return what they found."""
        self.load = load
        for name in CHECKS:
            if name != "movielens" or self.matrices is not None:
                self.findings[name] = self.look(name)
        return list(self.findings.values())

    def look(self, name: str) -> Finding:
        """Make one check, with the method of its name, and return what it found."""
        check = getattr(self, f"check_{name}")
        missing = [need for need in CHECKS[name].needs if self.findings[need].state != RIGHT]
        if self.gone:
            where = CHECKS[self.gone].title
            return Finding(name, NOT_REACHED, f'The process ended in "{where}".')
        if missing:
            return Finding(name, NOT_REACHED, f'It needs "{CHECKS[missing[0]].title}".')
        try:
            message = check()
        except Nothing as error:
            return Finding(name, NOT_REACHED, str(error))
        except Ended as error:
            self.gone, message = name, self.ended(error)
        except Stop as error:
            message = str(error)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # the judges take what fits the question; only a forged answer does not
            message = f"What came back does not fit the question ({type(error).__name__})."
        if not message:
            return Finding(name, RIGHT)
        return Finding(name, WRONG, f"{plain(message)} See lesson {_LESSON}, {CHECKS[name].see}.")

    def check_file(self) -> str | None:
        """Load the submission, and look for its two names."""
        answer = self.load(self.sandbox)
        if "error" in answer:
            return judge.error(mapping(answer["error"]), "The file")
        self.given = answer
        if not answer.get("class") and not answer.get("evaluator"):
            return "The file defines 0 of the 2 names that are looked for: AutoRec and evaluator."
        if not answer.get("class"):
            return "1 of 2 names is missing: no class is called AutoRec."
        if not answer.get("evaluator"):
            return "1 of 2 names is missing: no function is called evaluator."
        return None

    def check_class(self) -> str | None:
        """Build a network."""
        if not self.given.get("class"):
            raise Nothing("It needs a class called AutoRec.")
        if not self.given.get("block"):
            return (
                "AutoRec has 0 Gluon blocks among its base classes. What is no block has no "
                "parameters that a trainer finds."
            )
        self.make(_HIDDEN, _USERS, 0.0)
        return None

    def check_shape(self) -> str | None:
        """Compare the shapes of input and output."""
        two = self.rows[:2]  # the size of a batch is no part of the network
        for rows, training in ((self.rows, False), (self.rows, True), (two, False)):
            message = judge.shape(rows, self.outputs(rows, training)[0])
            if message is not None:
                return message
        return None

    def check_activation(self) -> str | None:
        """Find out what the network computes."""
        parameters = self.fill(self.rows)
        output = self.outputs(self.rows, False)[0]
        return anatomy.activation(self.rows, output, parameters, _HIDDEN)

    def check_mask(self) -> str | None:
        """Compare the output in training with that in prediction."""
        in_training, in_prediction = (self.outputs(self.rows, mode)[0] for mode in (True, False))
        return judge.mask(self.rows, in_training, in_prediction)

    def check_gradient(self) -> str | None:
        """Ask for the gradients of unknown and of known entries."""
        head = self.rng.uniform(1, 2, self.rows.shape).astype("f4")
        both = []
        for part in (self.rows == 0, self.rows > 0):
            arrays = {"rows": self.rows, "head": head * part}
            grads = self.ask("The gradient", "gradient", arrays)[1]
            both.append([grads[name] for name in sorted(grads)])
        return judge.gradient(*both)

    def check_prediction(self) -> str | None:
        """Look at the predictions of unknown ratings."""
        return judge.prediction(self.rows, self.outputs(self.rows, False)[0])

    def check_dropout(self) -> str | None:
        """Repeat predictions and passes in training."""
        hidden = 32
        self.make(hidden, _USERS, 0.5)
        parameters = self.fill(self.rows)
        predictions = self.outputs(self.rows, False, 3)
        trainings = self.outputs(self.rows, True, 4)
        away = 0.0
        if self.findings["activation"].state == RIGHT:
            away = anatomy.dissect(self.rows, predictions[0], parameters, hidden)[1]
        return judge.dropout(predictions, trainings, away)

    def check_training(self) -> str | None:
        """Train for a moment on made ratings; where the error is too high, once more on others.

        What is drawn decides how far so short a training gets. Of 301 trainings of a right
        submission the median RMSE was 0.306, 99 % were below 0.42 and the largest was 0.609; in
        another run one ended at 1.01, above the bound. So a first failure may be bad luck.
        """
        for _ in range(2):
            train, held_out = questions.synthetic(self.rng, 160, 60)
            self.make(16, train.shape[1], 0.05)
            predicted = self.train(train, epochs=40, batch=40, lr=0.02, wd=1e-5)
            message = judge.trained(predicted, train, held_out)
            if message is None or not np.isfinite(predicted).all():
                break
        return message

    def evaluate(
        self, num_devices: int, **known: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Call the evaluator, with a network that is known or else with the submission's."""
        arrays = {"rows": self.matrix, "held_out": self.held_out, **known}
        return self.sandbox.ask("evaluate", arrays, batch=4, num_devices=num_devices)

    def check_rows(self) -> str | None:
        """Look at what the evaluator shows the network."""
        if not self.given.get("evaluator"):
            raise Nothing("It needs a function called evaluator.")
        both = questions.ratings(self.rng, _ITEMS, _USERS, 0.6)
        held = (both > 0) & (self.rng.random(both.shape) < 0.4)
        held[np.arange(4), (both > 0).argmax(1)[:4]] = True
        self.matrix, self.held_out = both * ~held, both * held
        self.known = {
            "slope": self.rng.standard_normal((_USERS, _USERS)) / 4,
            "offset": self.rng.uniform(2, 4, _USERS),
        }
        answer, results = self.evaluate(1, **self.known)
        calls = [results[name] for i in range(len(results)) if (name := f"c{i}") in results]
        modes = answer.get("training")
        modes = [bool(mode) for mode in modes] if isinstance(modes, list) else []
        message = judge_evaluator.rows_shown(calls, modes, self.matrix, self.held_out)
        if "error" in answer and (message is None or not calls or "of the" in message):
            message = judge.error(mapping(answer["error"]), "The evaluator")
        self.scored = answer, results
        return message

    def check_score(self) -> str | None:
        """Work the evaluator's score out again."""
        answer, results = self.scored
        value = number(answer, results)
        predicted = self.matrix @ self.known["slope"] + self.known["offset"]
        return judge_evaluator.score(value, predicted, self.matrix, self.held_out, 4)

    def check_devices(self) -> str | None:
        """Do it on two devices."""
        self.make(_HIDDEN, _USERS, 0.0, num_devices=2)
        self.fill(self.rows)
        outputs = [self.outputs(self.rows, False, device=device)[0] for device in (0, 1)]
        answer, results = self.evaluate(2, **self.known)
        if "error" in answer:
            return judge.error(mapping(answer["error"]), "The evaluator, on two devices,")
        used = answer.get("devices")
        used = [str(device) for device in used] if isinstance(used, list) else []
        value, one = number(answer, results), number(*self.scored)
        message = judge_evaluator.devices(outputs, used, value, one)
        if message is None:  # the two halves together
            answer, results = self.evaluate(2)
            if "error" in answer:
                return judge.error(mapping(answer["error"]), "The evaluator, with your network,")
            predicted = self.outputs(self.matrix, False)[0]
            one = judge.rmse(predicted, self.held_out)
            message = judge_evaluator.devices(outputs, used, number(answer, results), one)
        return message

    def check_movielens(self) -> str | None:
        """Train on MovieLens 100K as the chapter does."""
        from d2l_autorec.config import CHAPTER as book

        assert self.matrices is not None
        train, held_out = self.matrices
        self.make(book.num_hidden, train.shape[1], book.dropout_rate, sigma=book.sigma)
        settings = {"batch": book.batch_size, "lr": book.lr, "wd": book.wd}
        return judge.movielens(self.train(train, epochs=book.num_epochs, **settings), held_out)
