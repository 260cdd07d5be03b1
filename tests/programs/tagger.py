import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.utils.rnn import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpad_sequence,
)
from torch.utils.data import DataLoader


class Tagger(nn.Module):
    def __init__(self, kind, embedding_dim, hidden_dim, vocab_size, tagset_size):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.rnn = getattr(nn, kind)(
            embedding_dim,
            hidden_dim,
            num_layers=2,
            bidirectional=True,
            batch_first=True,
            dropout=0.2,
        )
        self.hidden2tag = nn.Linear(2 * hidden_dim, tagset_size)

    def forward(self, x, lengths):
        emb = self.word_embeddings(x)
        packed = pack_padded_sequence(emb, lengths, batch_first=True, enforce_sorted=False)
        out, h = self.rnn(packed)
        out, n = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        assert n.tolist() == lengths.tolist()
        return self.hidden2tag(F.dropout(out, 0.1, self.training)), h


def collate(batch):
    xs, ys = zip(*batch, strict=False)
    lengths = torch.tensor([len(x) for x in xs])
    return (
        pad_sequence(xs, batch_first=True),
        pad_sequence(ys, batch_first=True, padding_value=-100),
        lengths,
    )


def main():
    results = []
    for kind in "RNN", "LSTM", "GRU":
        torch.manual_seed(0)
        data = []
        for _i in range(40):
            n = int(torch.randint(3, 12, ()))
            x = torch.randint(1, 30, (n,))
            data.append((x, x % 4))
        loader = DataLoader(data, batch_size=8, shuffle=True, collate_fn=collate)
        model = Tagger(kind, 12, 10, 30, 4)
        loss_function = nn.CrossEntropyLoss(ignore_index=-100)
        optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9, nesterov=True)
        for _epoch in range(3):
            for x, y, lengths in loader:
                model.zero_grad()
                scores, h = model(x, lengths)
                loss = loss_function(scores.transpose(1, 2), y)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                optimizer.step()
                results.append(loss.item())
        with torch.no_grad():
            model.eval()
            scores, h = model(x, lengths)
            mask = y != -100
            acc = (scores.argmax(-1)[mask] == y[mask]).float().mean()
            results += [acc.item(), h if torch.is_tensor(h) else h[0]]
            p = pack_sequence([torch.arange(3.0), torch.arange(2.0)])
            results += [p.data, p.batch_sizes, list(unpad_sequence(*pad_packed_sequence(p)))]
    return results
