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

# The rest of section 2a: 40,000 train, 10,000 valid, one test score at the end; lambda of the L2 term is 0.01 throughout.
LENET_SPLIT = --model lenet5 --data cifar10 --split random --batch-size 4 --act relu --pool max --optim sgd --l2 0.01
# The learning rate is halved at the start of epochs 5, 10, 15, ...
HALF_10     = --schedule multistep --milestones 4,9 --gamma 0.5
HALF_30     = --schedule multistep --milestones 4,9,14,19,24,29 --gamma 0.5
HALF_50     = --schedule multistep --milestones 4,9,14,19,24,29,34,39,44,49 --gamma 0.5

## Momentum 0.99 with and without clipping, and a smaller momentum with a larger rate.
exp.clip                       = lenet_vgg/momentum99 lenet_vgg/momentum99-clip lenet_vgg/lr01-momentum9
plots.clip                     = curves
run.lenet_vgg/momentum99       = $(LENET_SPLIT) $(LENET_WIDE) --norm bn --dropout 0.5 --lr 0.001 --momentum 0.99 --epochs 1
run.lenet_vgg/momentum99-clip  = $(LENET_SPLIT) $(LENET_WIDE) --norm bn --dropout 0.5 --lr 0.001 --momentum 0.99 --epochs 1 --clip 1
run.lenet_vgg/lr01-momentum9   = $(LENET_SPLIT) $(LENET_WIDE) --norm bn --dropout 0.5 --lr 0.01 --momentum 0.9 --epochs 4

## Dropout 0.5 on the convolutions' outputs, with and without batch norm, with two and three fully connected layers.
exp.lenet-dropout              = lenet_vgg/fc2-dropout lenet_vgg/fc2-bn-dropout lenet_vgg/fc3-bn-dropout
plots.lenet-dropout            = curves
LENET_99                       = --dropout 0.5 --lr 0.01 --momentum 0.99 --clip 1 --epochs 10 $(HALF_10)
run.lenet_vgg/fc2-dropout      = $(LENET_SPLIT) --channels 16,36 --kernels 5,3 --fc 128 $(LENET_99)
run.lenet_vgg/fc2-bn-dropout   = $(LENET_SPLIT) --channels 16,36 --kernels 5,3 --fc 128 --norm bn $(LENET_99)
run.lenet_vgg/fc3-bn-dropout   = $(LENET_SPLIT) $(LENET_WIDE) --norm bn $(LENET_99)

## The templates.
exp.lenet-templates            = lenet_vgg/template1 lenet_vgg/template2
plots.lenet-templates          = curves
LENET_TEMPLATE                 = --norm bn --dropout 0.5 --lr 0.01 --momentum 0.9 --clip 1 --epochs 50 $(HALF_50)
run.lenet_vgg/template1        = $(LENET_SPLIT) $(LENET_WIDE) $(LENET_TEMPLATE)
run.lenet_vgg/template2        = $(LENET_SPLIT) --channels 16,36 --kernels 5,3 --fc 128 $(LENET_TEMPLATE)

claim.L1  = with sigmoid LeNet ends at 25 % or less after 10 epochs, with ReLU at 55 % or more
claim.L2  = wide ReLU beats classic ReLU
claim.L11 = ReLU matters more than channels: what it adds to the classic net exceeds what width adds to the ReLU net
