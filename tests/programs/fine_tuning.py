import os
import time
from tempfile import TemporaryDirectory

import torch
import torch.backends.cudnn as cudnn
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler

cudnn.benchmark = True


class BasicBlock(nn.Module):
    expansion: int = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = nn.Conv2d(
            inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(
            BasicBlock(
                8, 16, 2, nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
            )
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def train_model(model, criterion, optimizer, scheduler, dataloaders, sizes, device, num_epochs):
    time.time()
    history = []
    with TemporaryDirectory() as tempdir:
        best = os.path.join(tempdir, "best_model_params.pt")
        torch.save(model.state_dict(), best)
        best_acc = 0.0
        for _epoch in range(num_epochs):
            for phase in ["train", "val"]:
                model.train() if phase == "train" else model.eval()
                running_loss, running_corrects = 0.0, 0
                for inputs, labels in dataloaders[phase]:
                    inputs = inputs.to(device)
                    labels = labels.to(device)
                    optimizer.zero_grad()
                    with torch.set_grad_enabled(phase == "train"):
                        outputs = model(inputs)
                        _, preds = torch.max(outputs, 1)
                        loss = criterion(outputs, labels)
                        if phase == "train":
                            loss.backward()
                            optimizer.step()
                    running_loss += loss.item() * inputs.size(0)
                    running_corrects += torch.sum(preds == labels.data)
                if phase == "train":
                    scheduler.step()
                epoch_loss = running_loss / sizes[phase]
                epoch_acc = running_corrects.double() / sizes[phase]
                history.append((epoch_loss, epoch_acc.item()))
                if phase == "val" and epoch_acc > best_acc:
                    best_acc = epoch_acc
                    torch.save(model.state_dict(), best)
        model.load_state_dict(torch.load(best, weights_only=True))
    return model, history


def main():
    torch.manual_seed(0)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    x = torch.randn(48, 3, 32, 32)
    y = torch.randint(0, 2, (48,))
    ds = torch.utils.data.TensorDataset(x, y)
    sets = {
        "train": torch.utils.data.Subset(ds, range(32)),
        "val": torch.utils.data.Subset(ds, range(32, 48)),
    }
    loaders = {
        k: torch.utils.data.DataLoader(v, batch_size=8, shuffle=True) for k, v in sets.items()
    }
    sizes = {k: len(v) for k, v in sets.items()}
    model = ResNet()
    with TemporaryDirectory() as tempdir:
        whole = os.path.join(tempdir, "model.pt")
        torch.save(model, whole)
        model = torch.load(whole, weights_only=False)
    for param in model.parameters():
        param.requires_grad = False
    for param in model.layer2.parameters():
        param.requires_grad_(True)
    model.fc = nn.Linear(model.fc.in_features, 2)
    model = model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(
        [{"params": model.layer2.parameters(), "lr": 1e-3}, {"params": model.fc.parameters()}],
        lr=0.01,
        momentum=0.9,
        weight_decay=1e-4,
    )
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    model, history = train_model(model, criterion, optimizer, scheduler, loaders, sizes, device, 3)
    return (
        history,
        model.state_dict(),
        [g["lr"] for g in optimizer.param_groups],
        str(model.layer1),
        [n for n, p in model.named_parameters() if p.grad is None],
    )
