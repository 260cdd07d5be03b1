import itertools

import torch
import torch.nn.functional as F


def accuracy(output, target, topk=(1,)):
    with torch.no_grad():
        maxk = max(topk)
        batch_size = target.size(0)
        _, pred = output.topk(maxk, 1, True, True)
        pred = pred.t()
        correct = pred.eq(target.view(1, -1).expand_as(pred))
        res = []
        for k in topk:
            correct_k = correct[:k].reshape(-1).float().sum(0, keepdim=True)
            res.append(correct_k.mul_(100.0 / batch_size))
        return res


def box_iou(a, b):
    area = lambda t: (t[:, 2] - t[:, 0]) * (t[:, 3] - t[:, 1])
    lt = torch.max(a[:, None, :2], b[:, :2])
    rb = torch.min(a[:, None, 2:], b[:, 2:])
    wh = (rb - lt).clamp(min=0)
    inter = wh[:, :, 0] * wh[:, :, 1]
    return inter / (area(a)[:, None] + area(b) - inter)


def nms(boxes, scores, thr):
    keep = []
    order = scores.argsort(descending=True)
    while order.numel() > 0:
        i = order[0]
        keep.append(i.item())
        if order.numel() == 1:
            break
        iou = box_iou(boxes[i].unsqueeze(0), boxes[order[1:]]).squeeze(0)
        order = order[1:][iou <= thr]
    return torch.as_tensor(keep)


def confusion(pred, target, n):
    k = (target >= 0) & (target < n)
    inds = n * target[k].to(torch.int64) + pred[k]
    return torch.bincount(inds, minlength=n**2).reshape(n, n)


def auc(scores, labels):
    desc = torch.argsort(scores, descending=True, stable=True)
    labels = labels[desc]
    tps = torch.cumsum(labels, 0)
    fps = torch.cumsum(1 - labels, 0)
    tpr = tps / tps[-1]
    fpr = fps / fps[-1].float()
    return torch.trapz(tpr, fpr)


def main():
    torch.manual_seed(0)
    logits = torch.randn(40, 7)
    target = torch.randint(0, 7, (40,))
    out = [accuracy(logits, target, topk=(1, 5))]
    pred = logits.argmax(-1)
    hist = confusion(pred, target, 7)
    iu = torch.diag(hist) / (hist.sum(1) + hist.sum(0) - torch.diag(hist))
    f1 = 2 * hist.diag().float() / (hist.sum(0) + hist.sum(1)).clamp_min(1)
    out += [hist, iu, f1, torch.nanmean(iu)]
    xy = torch.rand(20, 2) * 10
    boxes = torch.cat([xy, xy + torch.rand(20, 2) * 5], 1)
    out += [box_iou(boxes, boxes[:4]), nms(boxes, torch.rand(20), 0.2)]
    out += [auc(torch.rand(50), (torch.rand(50) > 0.5).long())]
    u, inv, cnt = torch.unique(target, return_inverse=True, return_counts=True)
    means = (
        torch.zeros(len(u), 7).scatter_add_(0, inv[:, None].expand(-1, 7), logits) / cnt[:, None]
    )
    out += [u, inv, cnt, means, torch.zeros(7, 7).index_add_(0, target, logits)]
    emb = F.normalize(torch.randn(10, 4), dim=1)
    dist = torch.cdist(emb, emb)
    knn = dist.topk(4, largest=False)
    out += [knn.values[:, 1:], knn.indices[:, 1:], emb @ emb.T]
    sims = (emb @ emb.mT).fill_diagonal_(float("-inf"))
    hard = sims.argmax(1)
    onehot = F.one_hot(target, num_classes=7)
    prob = logits.softmax(1)
    dice = (2 * (prob * onehot).sum(0) + 1) / (prob.sum(0) + onehot.sum(0) + 1)
    conf, acc = prob.max(1)[0], pred.eq(target)
    ece = torch.zeros(1)
    bounds = torch.linspace(0, 1, 6)
    for lo, hi in itertools.pairwise(bounds):
        m = conf.gt(lo.item()) * conf.le(hi.item())
        if m.float().mean().item() > 0:
            ece += torch.abs(conf[m].mean() - acc[m].float().mean()) * m.float().mean()
    rank = (logits > logits.gather(1, target[:, None])).sum(1) + 1
    mrr = (1.0 / rank).mean()
    q = torch.quantile(logits, torch.tensor([0.1, 0.5, 0.9]), dim=0)
    srt, idx = torch.sort(logits, dim=1, descending=True)
    cum = srt.softmax(-1).cumsum(-1)
    rem = cum > 0.8
    rem[..., 1:] = rem[..., :-1].clone()
    rem[..., 0] = 0
    nucleus = logits.masked_fill(rem.scatter(1, idx, rem), -float("inf"))
    std, mean = torch.std_mean(logits, dim=0)
    out += [
        hard,
        onehot,
        dice,
        ece,
        mrr,
        rank,
        q,
        nucleus.isinf().sum(),
        std,
        mean,
        torch.bucketize(conf, bounds),
        torch.histc(conf, 5, 0, 1),
        logits.median(0),
        (target % 2 == 0).nonzero(as_tuple=True)[0],
        (target == 3).nonzero().squeeze(1),
    ]
    return out
