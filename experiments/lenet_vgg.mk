# Report 2: CIFAR-10, from LeNet-5 to VGG.
# So far the report's first comparison; its printed losses are means of the last 2,000 batches (tail_loss in the log).

# Section 2a, first runs: all 50,000 training images, no valid set, score on test. Learning rate and momentum are not printed in
# the report; its script has 0.001 and 0.9.
LENET         = --model lenet5 --data cifar10 --batch-size 4 --optim sgd --lr 0.001 --momentum 0.9 --epochs 10 --split all --pool avg
LENET_CLASSIC = --channels 6,16 --kernels 5,5 --fc 120,84
LENET_WIDE    = --channels 16,36 --kernels 5,3 --fc 128,96

## Sigmoid against ReLU, LeNet's classic channels against wider ones.
exp.lenet-act                  = lenet_vgg/sigmoid-classic lenet_vgg/sigmoid-wide lenet_vgg/relu-wide lenet_vgg/relu-classic
plots.lenet-act                = curves
run.lenet_vgg/sigmoid-classic  = $(LENET) $(LENET_CLASSIC) --act sigmoid
want.lenet_vgg/sigmoid-classic = tail_loss=2.055
run.lenet_vgg/sigmoid-wide     = $(LENET) $(LENET_WIDE) --act sigmoid
want.lenet_vgg/sigmoid-wide    = tail_loss=2.084 test_acc=0.20
run.lenet_vgg/relu-wide        = $(LENET) $(LENET_WIDE) --act relu
# two runs in the report
want.lenet_vgg/relu-wide       = tail_loss=0.512..0.547 test_acc=0.68..0.69
run.lenet_vgg/relu-classic     = $(LENET) $(LENET_CLASSIC) --act relu
want.lenet_vgg/relu-classic    = tail_loss=0.891 test_acc=0.62

claim.L1  = with sigmoid LeNet ends at 25 % or less after 10 epochs, with ReLU at 55 % or more
claim.L2  = wide ReLU beats classic ReLU
claim.L11 = ReLU matters more than channels: what it adds to the classic net exceeds what width adds to the ReLU net
