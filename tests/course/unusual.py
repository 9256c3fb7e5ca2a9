"""A right submission in another style: hierarchy, own parameters, matrix products, a lambda."""

import mxnet as mx
import numpy as onp
from mxnet import autograd, gluon, np, npx

npx.set_np()
print("training log " * 1000)


class Layer(gluon.HybridBlock):
    def __init__(self, rows, columns, bend=False):
        super().__init__()
        self.bend = bend
        with self.name_scope():
            self.matrix = self.params.get("matrix", shape=(rows, columns))
            self.shift = self.params.get("shift", shape=(1, columns), init=mx.init.Zero())

    def hybrid_forward(self, F, x, matrix, shift):
        z = F.np.matmul(x, matrix) + shift
        return 1.0 / (1.0 + F.np.exp(-z)) if self.bend else z


class Autoencoder(gluon.Block):
    """Knows nothing of ratings."""

    def __init__(self, sizes, rate):
        super().__init__()
        wide, narrow = sizes
        self.down = Layer(wide, narrow, bend=True)
        self.up = Layer(narrow, wide)
        self.keep = 1 - rate

    def thin(self, code):
        if not autograd.is_training():
            return code
        kept = np.random.uniform(size=code.shape, ctx=code.ctx) < self.keep
        return code * kept.astype("float32") / self.keep

    def forward(self, x):
        return self.up(self.thin(self.down(x)))


class AutoRec(Autoencoder):
    def __init__(self, h, n, p=0.05, **kwargs):
        super().__init__((n, h), p, **kwargs)

    def forward(self, x):
        guess = super().forward(x)
        return np.where(x > 0, guess, np.zeros_like(guess)) if autograd.is_training() else guess


def everywhere(network, rows, devices):
    shares = gluon.utils.split_and_load(rows, devices, even_split=False)
    return onp.concatenate([network(share).asnumpy() for share in shares])


evaluator = lambda net, batches, test, gpus: (  # noqa: E731
    lambda guess, true: onp.sqrt(onp.mean((guess[true > 0] - true[true > 0]) ** 2))
)(onp.vstack([everywhere(net, batch, gpus) for batch in batches]), test.asnumpy())


if __name__ == "__main__":
    raise SystemExit("the checker imports a submission and does not run it")
