import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def layer_init(layer, std=2**0.5, bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            layer_init(nn.Linear(4, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0)
        )
        self.actor = nn.Sequential(
            layer_init(nn.Linear(4, 16)), nn.Tanh(), layer_init(nn.Linear(16, 3), std=0.01)
        )
        self.log_std = nn.Parameter(torch.zeros(1, 3))

    def get_value(self, x):
        return self.critic(x)

    def dist(self, x, action=None):
        logits = self.actor(x)
        logp = logits - logits.logsumexp(dim=-1, keepdim=True)
        probs = F.softmax(logits, dim=-1)
        if action is None:
            action = torch.multinomial(probs, 1, True).squeeze(-1)
        lp = logp.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)
        return action, lp, -(logp * probs).sum(-1), self.critic(x)


def main():
    seed = 1
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    agent = Agent().to(device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-3, eps=1e-5)
    T, N = 16, 4
    obs = torch.zeros((T, N, 4)).to(device)
    actions = torch.zeros((T, N)).to(device)
    logprobs, rewards, dones, values = (torch.zeros((T, N)).to(device) for _ in range(4))
    next_obs = torch.Tensor(np.random.randn(N, 4)).to(device)
    next_done = torch.zeros(N).to(device)
    log = []
    for update in range(1, 4):
        optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / 3) * 2.5e-3
        for step in range(T):
            obs[step] = next_obs
            dones[step] = next_done
            with torch.no_grad():
                action, logprob, _, value = agent.dist(next_obs)
                values[step] = value.flatten()
            actions[step] = action
            logprobs[step] = logprob
            reward = (action.cpu().numpy() == (np.asarray(next_obs[:, 0]) > 0)) * 1.0
            rewards[step] = torch.tensor(reward).to(device).view(-1)
            next_obs, next_done = (
                torch.Tensor(np.random.randn(N, 4)).to(device),
                torch.Tensor(np.random.rand(N) < 0.1).to(device),
            )
        with torch.no_grad():
            next_value = agent.get_value(next_obs).reshape(1, -1)
            advantages = torch.zeros_like(rewards).to(device)
            lastgaelam = 0
            for t in reversed(range(T)):
                if t == T - 1:
                    nonterminal, nextvalues = 1.0 - next_done, next_value
                else:
                    nonterminal, nextvalues = 1.0 - dones[t + 1], values[t + 1]
                delta = rewards[t] + 0.99 * nextvalues * nonterminal - values[t]
                advantages[t] = lastgaelam = delta + 0.99 * 0.95 * nonterminal * lastgaelam
            returns = advantages + values
        b_obs, b_lp, b_act = obs.reshape((-1, 4)), logprobs.reshape(-1), actions.reshape((-1,))
        b_adv, b_ret, b_val = advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
        b_inds = np.arange(T * N)
        clipfracs = []
        for _epoch in range(2):
            np.random.shuffle(b_inds)
            for start in range(0, T * N, 32):
                mb = b_inds[start : start + 32]
                _, newlp, entropy, newvalue = agent.dist(b_obs[mb], b_act.long()[mb])
                logratio = newlp - b_lp[mb]
                ratio = logratio.exp()
                with torch.no_grad():
                    clipfracs += [((ratio - 1.0).abs() > 0.02).float().mean().item()]
                adv = b_adv[mb]
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                pg = torch.max(-adv * ratio, -adv * torch.clamp(ratio, 0.8, 1.2)).mean()
                newvalue = newvalue.view(-1)
                v_un = (newvalue - b_ret[mb]) ** 2
                v_cl = b_val[mb] + torch.clamp(newvalue - b_val[mb], -0.2, 0.2)
                v_loss = 0.5 * torch.max(v_un, (v_cl - b_ret[mb]) ** 2).mean()
                loss = pg - 0.01 * entropy.mean() + v_loss * 0.5
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        y_pred, y_true = b_val.cpu().numpy(), b_ret.cpu().numpy()
        log += [
            loss.item(),
            np.mean(clipfracs).item(),
            float(1 - np.var(y_true - y_pred) / np.var(y_true)),
        ]
    return log, agent.state_dict()
