import torch
import torch.nn as nn
import torch.nn.functional as F


class BERT(nn.Module):
    def __init__(self, vocab=40, d=16, layers=2):
        super().__init__()
        self.emb = nn.ModuleDict(
            {
                "tok": nn.Embedding(vocab, d, padding_idx=0),
                "pos": nn.Embedding(12, d),
                "seg": nn.Embedding(2, d),
            }
        )
        self.register_buffer("position_ids", torch.arange(12).expand((1, -1)), persistent=False)
        self.norm = nn.LayerNorm(d, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            d_model=d, nhead=2, dim_feedforward=32, dropout=0.1, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.pool = nn.Sequential(nn.Linear(d, d), nn.Tanh())
        self.heads = nn.ModuleDict([["mlm", nn.Linear(d, vocab)], ["nsp", nn.Linear(d, 2)]])
        self.heads["mlm"].weight = self.emb["tok"].weight

    def forward(self, ids, seg):
        x = self.norm(
            self.emb["tok"](ids)
            + self.emb["pos"](self.position_ids[:, : ids.size(1)])
            + self.emb["seg"](seg)
        )
        x = self.encoder(x, src_key_padding_mask=ids.eq(0))
        return self.heads["mlm"](x), self.heads["nsp"](self.pool(x[:, 0]))


def mask_tokens(inputs, p=0.3):
    labels = inputs.clone()
    prob = torch.full(labels.shape, p)
    prob.masked_fill_(inputs == 0, value=0.0)
    masked = torch.bernoulli(prob).bool()
    labels[~masked] = -100
    replaced = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & masked
    inputs[replaced] = 3
    rnd = torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & masked & ~replaced
    words = torch.randint(40, labels.shape, dtype=torch.long)
    inputs[rnd] = words[rnd]
    return inputs, labels


def main():
    torch.manual_seed(0)
    model = BERT()
    no_decay = ["bias", "norm"]
    groups = [
        {
            "params": [
                p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)
            ],
            "weight_decay": 0.01,
        },
        {
            "params": [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)],
            "weight_decay": 0.0,
        },
    ]
    opt = torch.optim.AdamW(groups, lr=5e-3)
    sched = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: min(1, s / 3) * max(0.0, (12 - s) / 12)
    )
    log = []
    for i in range(12):
        ids = torch.randint(4, 40, (5, 10))
        lens = torch.randint(4, 11, (5, 1))
        ids = ids.masked_fill(torch.arange(10) >= lens, 0)
        seg = (torch.arange(10)[None] > lens // 2).long()
        nsp = torch.randint(0, 2, (5,))
        ids, labels = mask_tokens(ids.clone())
        mlm, ns = model(ids, seg)
        loss = F.cross_entropy(mlm.view(-1, 40), labels.view(-1)) + F.cross_entropy(ns, nsp)
        (loss / 2).backward()
        if (i + 1) % 2 == 0:
            n = nn.utils.clip_grad_norm_(
                model.parameters(), 1.0, norm_type=2, error_if_nonfinite=True
            )
            opt.step()
            sched.step()
            opt.zero_grad()
            log += [n.item(), sched.get_last_lr()]
        log.append(loss.item())
    model.eval()
    with torch.no_grad():
        a, b = model(ids, seg)
    return log, a[ids != 0], b, sorted(model.state_dict()), [n for n, _ in model.named_buffers()]
