# Report 3: CIFAR-10, questions and answers on one small net.
# Accuracies are of the test set, which this report, and no other, looks at after every epoch (--test-each-epoch).

# Common to all runs: all 50,000 training images, batch 64, 12 epochs. The baseline's SGD is a guess (0.001 and 0.9; the
# report prints neither), like its normalisation by (0.5, 0.5, 0.5).
NET      = --model net --data cifar10 --split all --test-each-epoch --batch-size 64 --epochs 12 \
           --optim sgd --lr 0.001 --momentum 0.9
NET_ADAM = $(NET) --optim adam --lr 0.001

## Does the batch size matter? Every run has 12 epochs, so a larger batch means fewer updates.
exp.batch-size            = net/batch-16 net/batch-32 net/baseline net/batch-128
plots.batch-size          = curves by-epoch
run.net/baseline          = $(NET)
# printed twice, with two final losses
want.net/baseline         = test_acc=0.56 train_loss=1.209..1.211 \
                            test_acc@1=0.16 test_acc@2=0.29 test_acc@3=0.36 test_acc@4=0.40 \
                            test_acc@5=0.43 test_acc@6=0.46 test_acc@7=0.48 test_acc@8=0.50 \
                            test_acc@9=0.51 test_acc@10=0.53 test_acc@11=0.55 test_acc@12=0.56
run.net/batch-16          = $(NET) --batch-size 16
want.net/batch-16         = test_acc=0.65
run.net/batch-32          = $(NET) --batch-size 32
want.net/batch-32         = test_acc=0.63
run.net/batch-128         = $(NET) --batch-size 128
want.net/batch-128        = test_acc=0.47

## Is it the batch size or the number of updates? Ours: batch 128 with twice the learning rate,
## and with twice the epochs.
exp.batch-size-scaled     = net/baseline net/batch-128 net/batch-128-lr2 net/batch-128-epochs24
plots.batch-size-scaled   = curves by-epoch
run.net/batch-128-lr2     = $(NET) --batch-size 128 --lr 0.002
run.net/batch-128-epochs24 = $(NET) --batch-size 128 --epochs 24

## Mirrored images in training.
exp.flip                  = net/baseline net/flip
plots.flip                = curves by-epoch
run.net/flip              = $(NET) --flip
want.net/flip             = test_acc=0.56 train_loss=1.226

## SGD against Adam.
exp.optimizer             = net/baseline net/adam
plots.optimizer           = curves by-epoch
run.net/adam              = $(NET_ADAM)
want.net/adam             = test_acc=0.65 train_loss=0.779 \
                            test_acc@1=0.48 test_acc@2=0.54 test_acc@3=0.57 test_acc@4=0.60 \
                            test_acc@5=0.62 test_acc@6=0.62 test_acc@7=0.63 test_acc@8=0.64 \
                            test_acc@9=0.63 test_acc@10=0.65 test_acc@11=0.64 test_acc@12=0.65

## StepLR: a rate of 0.002, halved every 5 epochs, against a constant 0.001. It changes two things at once: the rate at
## the start and its fall.
exp.scheduler             = net/baseline net/adam net/sgd-step net/adam-step
plots.scheduler           = curves by-epoch
run.net/sgd-step          = $(NET) --lr 0.002 --schedule step --step-size 5 --gamma 0.5
want.net/sgd-step         = test_acc=0.60 train_loss=1.068
run.net/adam-step         = $(NET_ADAM) --lr 0.002 --schedule step --step-size 5 --gamma 0.5
want.net/adam-step        = test_acc=0.65 train_loss=0.668

## Ours: is it StepLR or the higher rate that helps? SGD and Adam at a constant 0.002, too.
exp.scheduler-lr          = net/baseline net/sgd-lr2 net/sgd-step net/adam net/adam-lr2 net/adam-step
plots.scheduler-lr        = curves by-epoch
run.net/sgd-lr2           = $(NET) --lr 0.002
run.net/adam-lr2          = $(NET_ADAM) --lr 0.002

## Batch norm after each pooling and after fc1's ReLU (the report's Net1).
exp.net-bn                = net/baseline net/bn
plots.net-bn              = curves by-epoch
run.net/bn                = $(NET) --norm bn
want.net/bn               = test_acc=0.65

## First weights by Kaiming's rule for ReLU (Net2); PyTorch's default is the same rule with a smaller bound.
exp.kaiming               = net/baseline net/kaiming
plots.kaiming             = curves by-epoch
run.net/kaiming           = $(NET) --init kaiming
want.net/kaiming          = test_acc=0.57

## Twice the channels (Net3).
exp.double                = net/baseline net/double
plots.double              = curves by-epoch
run.net/double            = $(NET) --channels 12,32
want.net/double           = test_acc=0.60

# The report's best (Net4): layers and epochs of the baseline, everything else is free. That its cosine ends at 0 after
# 12 epochs is a guess.
NET_BEST_RECIPE = --optim adam --lr 0.002 --weight-decay 1e-4 --schedule cosine --flip --pad-crop 2
NET_BEST        = $(NET) --channels 256,256 --norm bn --dropout 0.1 $(NET_BEST_RECIPE)

## All together: 256 channels, batch norm, dropout, Adam with weight decay and cosine, flip, crop, AutoAugment (Net4).
exp.best                  = net/baseline net/best
plots.best                = curves by-epoch
run.net/best              = $(NET_BEST) --autoaugment 0.6
want.net/best             = test_acc=0.83

## Ours: AugMix in place of AutoAugment; the report cites the paper of the one for the other.
exp.augmix                = net/best net/best-augmix
plots.augmix              = curves by-epoch
run.net/best-augmix       = $(NET_BEST) --augmix 0.6

## torchvision's ResNet-18, trained as the best net is.
exp.resnet18              = net/best net/resnet18
plots.resnet18            = curves by-epoch
NET_RESNET                = $(NET) --model resnet18 $(NET_BEST_RECIPE) --autoaugment 0.6
run.net/resnet18          = $(NET_RESNET)
want.net/resnet18         = test_acc=0.83

## The same started from ImageNet weights, with only a new last layer learning: a switch in the report,
## without a number.
exp.resnet18-pretrained   = net/resnet18 net/resnet18-pretrained
plots.resnet18-pretrained = curves by-epoch
run.net/resnet18-pretrained = $(NET_RESNET) --pretrained --freeze features

## Ours: the report does not print how it normalises. By 0.5 and 0.5, or by the mean and deviation
## of CIFAR-10's own colours?
exp.normalise             = net/baseline net/baseline-own-colours net/adam net/adam-own-colours
plots.normalise           = curves by-epoch
run.net/baseline-own-colours = $(NET) --normalise cifar10
run.net/adam-own-colours  = $(NET_ADAM) --normalise cifar10

## Ours: images normalised by deviations that are too small, (0.2023, 0.1994, 0.2010), which many scripts copied from
## each other; SGD also at 0.0007.
exp.copied                = net/baseline net/baseline-copied net/baseline-copied-lr7e-4 net/adam net/adam-copied \
                            net/adam-step net/adam-step-copied
plots.copied              = curves by-epoch
run.net/baseline-copied   = $(NET) --normalise copied
want.net/baseline-copied  = $(want.net/baseline)
run.net/baseline-copied-lr7e-4 = $(NET) --normalise copied --lr 0.0007
want.net/baseline-copied-lr7e-4 = $(want.net/baseline)
run.net/adam-copied       = $(NET_ADAM) --normalise copied
want.net/adam-copied      = $(want.net/adam)
run.net/adam-step-copied  = $(run.net/adam-step) --normalise copied
want.net/adam-step-copied = $(want.net/adam-step)

## Ours: the copy of CIFAR-10 that we measure on is of JPEG files of quality 75. Every image compressed once more like
## that: does it matter?
exp.jpeg                  = net/adam net/adam-jpeg-again
plots.jpeg                = curves by-epoch
run.net/adam-jpeg-again   = $(NET_ADAM) --jpeg-again 75

# What stands for this report in the READMEs.
headline.net = net/adam test_acc

claim.N1  = accuracy falls as the batch grows from 16 to 128
claim.N2  = mirroring hardly changes accuracy and raises train loss
claim.N3  = Adam beats SGD by at least 5 points
claim.N4  = StepLR helps SGD but not Adam, and lowers both losses
claim.N5  = batch norm adds at least 5 points
claim.N6  = Kaiming's rule stays within 2 points of the default
claim.N7  = twice the channels add at least 2 points
claim.N8  = the best recipe reaches 80 %
claim.N9  = ResNet-18 ends within 2 points of the best net
claim.N10 = ResNet-18 does it with fewer parameters
claim.N11 = Adam's first epoch is about SGD's eighth
