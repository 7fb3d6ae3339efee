"""A risk whose data are spread over the processes of a torch.distributed group.

Every process makes the same calls. The first one runs the solver; the others answer its questions with what comes from their own
data, until it is done and sends the result round. Sums are made in the order of the ranks, so that they are the same each time.
"""

import pickle

import torch.distributed as dist


def _said(error):
    """Type and message of an exception, whatever its `__str__` does."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        return f"{name}: {error}"
    except Exception:
        return name


class _Failure:
    """An exception on its way to the other processes: they raise it as it is, or say what it was where it cannot be pickled."""

    def __init__(self, error, rank):
        self.error, self.rank, self.words = error, rank, _said(error)
        try:
            self.pickled = pickle.dumps(error)
            if self._unpickled() is None:
                self.pickled = None
        except Exception:
            self.pickled = None

    def __getstate__(self):
        return {**self.__dict__, "error": None}

    def _unpickled(self):
        """A copy, or None where it would be another exception."""
        try:
            copy = pickle.loads(self.pickled)
        except Exception:
            return None
        return copy if isinstance(copy, BaseException) and _said(copy) == self.words else None

    def exception(self):
        """The exception itself in the process that raised it, its copy in the others; the same object every time."""
        if self.error is None:
            self.error = None if self.pickled is None else self._unpickled()
        if self.error is None:
            self.error = RuntimeError(f"process {self.rank} of the group raised {self.words}")
        return self.error


class Group:
    """The processes that share a risk."""

    def __init__(self, group):
        self.group = group
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.first = dist.get_global_rank(group, 0) if group is not dist.group.WORLD else 0
        self._leading, self._failure = False, None

    def all_gather(self, value):
        """The values of all processes, by rank."""
        values = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def _send(self, message=None):
        box = [message]
        dist.broadcast_object_list(box, src=self.first, group=self.group)
        return box[0]

    def check_same(self, **hashes):
        """Refuses processes whose models differ; every process raises the same.

        Parameters
        ----------
        hashes : str
            By name: what must be the same everywhere.
        """
        everywhere = self.all_gather(hashes)
        for rank, other in enumerate(everywhere):
            for name, value in other.items():
                if value != everywhere[0][name]:
                    raise ValueError(f"process {rank} of the group has other {name.replace('_', ' ')} than process 0: load the same state dict in "
                                     "every process before the risk is made")

    def _answers(self, risk, command, arguments, values):
        """The answers of all processes in the first one, and this process's own."""
        try:
            mine = getattr(risk if values is None else risk._with_buffers(values), command)(*arguments)
        except BaseException as error:  # It belongs to the process that leads, which waits for an answer.
            mine = _Failure(error, self.rank)
        answers = [None] * self.size if self.rank == 0 else None
        dist.gather_object(mine, answers, dst=self.first, group=self.group)
        if answers is not None:
            answers[0] = mine
        return answers, mine

    def call(self, risk, command, arguments):
        """What every process finds, by rank; only the first process may ask."""
        values = risk._other_values()
        self._send((command, arguments, values))
        answers, _ = self._answers(risk, command, arguments, None)
        for answer in answers:
            if isinstance(answer, _Failure):
                self._failure = answer
                raise answer.exception()
        return answers

    def lead(self, risk, work):
        """The result of `work`, which the first process does, in every process. Exceptions are raised in every process, too."""
        if self._leading:
            return work()
        return self._work(work) if self.rank == 0 else self._follow(risk)

    def _follow(self, risk):
        failed = None
        while True:
            command, arguments, values = self._send()
            if command == "done":
                return pickle.loads(arguments)
            if command == "failed":
                # This process has its own exception itself, with its traceback.
                raise (failed if failed is not None and arguments.rank == self.rank else arguments).exception()
            _, mine = self._answers(risk, command, arguments, values)
            failed = mine if isinstance(mine, _Failure) else None

    def _work(self, work):
        self._leading, self._failure = True, None
        try:
            result = work()
            end = ("done", self._packed(result), None)
            return result
        except BaseException as error:
            failure = self._failure
            if failure is None or failure.exception() is not error:
                failure = _Failure(error, self.rank)
            end = ("failed", failure, None)
            raise
        finally:
            self._leading, self._failure = False, None
            self._send(end)

    @staticmethod
    def _packed(result):
        """A result as bytes, made before anything is sent: the other processes wait for exactly one message."""
        try:
            return pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise TypeError(f"the result, {type(result).__name__}, cannot be sent to the other processes: {error}") from error
