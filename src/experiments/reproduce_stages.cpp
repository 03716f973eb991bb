// The table of stages: the order of the paper, those that others need first.
#include "entk/experiments/reproduce.h"

namespace entk {

const std::vector<Stage>& reproduce_stages() {
  static const std::vector<std::string> quick = {"--preset", "quick"}, published = {"--preset", "published"};
  static const std::vector<Stage> stages = {
      {.name = "figure1",
       .title = "Figure 1: f_L + f_Q with R3",
       .source = "Figure 1",
       .claim = "Every λ3 reaches near zero training loss; without R3 the NTK overfits and the test loss stays high, with it the "
                "QuadNTK learns the high degree part and the test loss falls from 0.50 to 0.14.",
       .command = {"figure1"},
       .quick = quick,
       .published = published},
      {.name = "spectrum",
       .title = "The spectrum of Σ",
       .source = "section 1.1, Theorem 2",
       .claim = "Σ's eigenvalues fall into three sets with gaps between them: large ones for degrees up to k, medium ones of order "
                "d^(1−i), Θ(d^i) of them, for degrees i = k+1 … 2k, and the rest of order 1/m.",
       .command = {"spectrum"},
       .quick = quick,
       .published = {"--preset", "paper"}},
  };
  return stages;
}

}  // namespace entk
