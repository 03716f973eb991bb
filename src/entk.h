// Everything a research script needs.
#pragma once

#include <torch/csrc/autograd/autograd.h>

#include "entk/base/device.h"
#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/data/dataset.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/pt_file.h"
#include "entk/kernels/taylor_function.h"
#include "entk/models/model_file.h"
#include "entk/models/taylor_expansion.h"
#include "entk/models/taylor_model.h"
#include "entk/program/program.h"
#include "entk/regularizers/regularizers.h"
#include "entk/report/html.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"
#include "entk/runs/curves.h"
#include "entk/runs/runs_study.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/kernel_regression.h"
#include "entk/spectrum/sigma_projector.h"
#include "entk/theory/landscape.h"
#include "entk/train/progress.h"
#include "entk/train/trainer.h"
