"""Losses of batches with their weights, as they are added up within a process and over several."""


class Chunks:
    """Losses of batches with their weights."""

    def __init__(self):
        self.sums, self.weights, self.right, self.counted = {}, {}, 0, 0

    def add(self, index, weight, loss, right, counted):
        self.sums[index] = self.sums.get(index, 0.0) + weight * loss
        self.weights[index] = self.weights.get(index, 0) + weight
        self.right += right
        self.counted += counted

    @staticmethod
    def joined(parts):
        if len(parts) == 1:
            return parts[0]
        whole = Chunks()
        for rank, one in enumerate(parts):
            whole.sums.update({(rank, i): s for i, s in one.sums.items()})
            whole.weights.update({(rank, i): w for i, w in one.weights.items()})
            whole.right += one.right
            whole.counted += one.counted
        return whole

    def evaluation(self, accuracy):
        places = list(self.sums)
        weights = [self.weights[i] for i in places]
        loss = sum(self.sums.values()) / sum(weights)
        losses = [self.sums[i] / w for i, w in zip(places, weights)]
        return loss, ((self.right, self.counted) if accuracy else None), losses, weights
