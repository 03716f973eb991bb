// `entk evaluate` against explicit matrices written in Python, at tensors that Python saved, and at a
// checkpoint that entk saved and Python opens.
#include "tests/apps/in_place.h"
#include "tests/io/io_testing.h"

namespace entk::evaluate_test {
namespace {

// Φ is built, its SVD taken, gradients come from torch's autograd. Prints what is off by more than 1e-10.
const char* const explicit_matrices = R"(
import json, math, subprocess, torch
torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
program = PROGRAM

phi1 = lambda z: torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
def logistic(z): return torch.sigmoid(z)
ACTIVATIONS = {  # sigma, sigma', sigma''
    'sigmoid': lambda z: (logistic(z), logistic(z) * (1 - logistic(z)), logistic(z) * (1 - logistic(z)) * (1 - 2 * logistic(z))),
    'tanh': lambda z: (z.tanh(), 1 - z.tanh()**2, -2 * z.tanh() * (1 - z.tanh()**2)),
    'gelu': lambda z: (z * torch.special.ndtr(z), torch.special.ndtr(z) + z * phi1(z), (2 - z * z) * phi1(z)),
}
LOSSES = {
    'square': lambda f, y: ((f - y)**2).mean(),
    'pseudo_huber': lambda f, y: ((1 + (f - y)**2).sqrt() - 1).mean(),
    'logistic': lambda f, y: torch.log1p(torch.exp(-y * f)).mean(),
}

def wanted(t, config):
    W0, a, X, y = t['W0'], t['a'], t['X'], t['y']
    W = t['W'].clone().requires_grad_()
    sigma = ACTIVATIONS[config['activation']['name']]
    shift = config['activation'].get('shift', 0.0)
    m = W0.shape[0]
    def features(x):
        s1 = a * sigma(x @ W0.T - shift)[1] / math.sqrt(m)
        return (s1[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    Phi = features(X)
    made_by = Phi if config['projector']['source'] == 'features' else features(t['X_unlabeled'])
    V = torch.linalg.svd(made_by, full_matrices=False)[2][:config['projector']['rank']]
    w = W.reshape(-1)
    low = V.T @ (V @ w)
    high = w - low
    f_L = Phi @ w
    f_Q = 0.5 * (a * sigma(X @ W0.T - shift)[2] / math.sqrt(m) * (X @ W.T)**2).sum(1)
    R = [(made_by @ high).square().mean(), (made_by @ low).square().mean(), (Phi @ high).square().mean(),
         W.square().sum(1).square().sum().square()]
    loss = LOSSES[config['loss']](f_L + f_Q, y)
    regularized = loss + sum(l * r for l, r in zip(config['lambda'], R))
    regularized.backward()
    f = (a * sigma(X @ (W0 + W).T - shift)[0]).sum(1) / math.sqrt(m)
    return {'f': f, 'f_L': f_L, 'f_Q': f_Q, 'R1': R[0], 'R2': R[1], 'R3': R[2], 'R4': R[3], 'loss': loss,
            'regularized_loss': regularized, 'gradient': W.grad, 'gradient_norm': W.grad.norm()}

def check(name, t, config, path):
    with open('c.json', 'w') as f: json.dump(config, f)
    subprocess.run([program, 'evaluate', path, '--config', 'c.json', '--gradient', '--out', 'out.json', '--force', '--quiet'], check=True)
    got = json.load(open('out.json'))
    want = wanted(t, config)
    assert sorted(got) == sorted(want), (sorted(got), sorted(want))
    for key, value in want.items():
        value = value.detach()
        error = ((torch.tensor(got[key]) - value).norm() / value.norm()).item()
        if not error < 1e-10: print(name, key, error)
    print(name, 'done')

m, d, n, N = 13, 5, 20, 40
def case(binary=False):
    return {'W0': torch.randn(m, d), 'a': torch.randn(m), 'W': 0.3 * torch.randn(m, d), 'X': torch.randn(n, d),
            'y': torch.randn(n).sign() if binary else torch.randn(n), 'X_unlabeled': torch.randn(N, d)}
for name, config in {
    'features': {'activation': {'name': 'sigmoid', 'shift': 1.0}, 'projector': {'source': 'features', 'rank': 6},
                 'lambda': [0.5, 0.25, 2.0, 0.125], 'loss': 'square', 'dtype': 'float64', 'device': 'cpu'},
    'unlabeled': {'activation': {'name': 'tanh', 'shift': 0.5}, 'projector': {'source': 'unlabeled', 'rank': 4},
                  'lambda': [1.0, 0.5, 3.0, 0.1], 'loss': 'pseudo_huber', 'dtype': 'float64', 'device': 'cpu'},
    'gelu': {'activation': {'name': 'gelu'}, 'projector': {'source': 'features', 'rank': 3},
             'lambda': [0.0, 0.0, 1.0, 0.0], 'loss': 'logistic', 'dtype': 'float64', 'device': 'cpu'},
}.items():
    tensors = case(binary=config['loss'] == 'logistic')
    torch.save(tensors, 'in.pt')
    check(name, tensors, config, 'in.pt')

subprocess.run([program, 'train', '--quiet', '--out', 'run', '--dtype', 'float64', '--set', 'model.width=30', '--set', 'data.dimension=5',
                '--set', 'data.samples=20', '--set', 'data.test_samples=5', '--set', 'lambda.3=2', '--set', 'train.steps=30',
                '--set', 'train.noise_variance=0.1'], check=True)
saved = torch.load('run/checkpoint.pt')
assert type(saved) is dict and saved['step'].item() == 30
config = {'activation': {'name': 'sigmoid', 'shift': 1.0}, 'projector': {'source': 'features', 'rank': 6},
          'lambda': [0.0, 0.0, 2.0, 0.0], 'loss': 'square', 'dtype': 'float64', 'device': 'cpu'}
check('trained', saved, config, 'run/checkpoint.pt')
summary = json.load(open('run/summary.json'))
out = json.load(open('out.json'))
for mine, theirs in (('train_loss', 'loss'), ('R3', 'R3'), ('R4', 'R4'), ('norm_gradient', 'gradient_norm')):
    if not abs(summary[mine] - out[theirs]) <= 1e-10 * abs(out[theirs]): print('summary', mine, summary[mine], out[theirs])
)";

TEST(Evaluate, AgreesWithExplicitMatricesInPythonTo1e10InBothDirections) {
  if (!testing::have_python()) GTEST_SKIP() << "no Python with torch";
  const testing::TemporaryFolder folder;
  const auto output =
      testing::python("PROGRAM = '" ENTK_BINARY_DIR "/entk'\n" + std::string(explicit_matrices), folder.path());
  EXPECT_EQ(output, "features done\nunlabeled done\ngelu done\ntrained done\n");
}

TEST(Evaluate, BadTensorsAndConfigurationsAreNamed) {
  using testing::contains;
  const testing::TemporaryFolder folder;
  const TensorDict good = {{"W0", torch::eye(4, torch::kDouble)},
                           {"a", torch::ones({4}, torch::kDouble)},
                           {"W", torch::zeros({4, 4}, torch::kDouble)},
                           {"X", torch::arange(24, torch::kDouble).sin().reshape({6, 4})},
                           {"y", torch::zeros({6}, torch::kDouble)}};
  const auto evaluate = [&](TensorDict tensors, const std::string& projector, const std::string& more) {
    std::filesystem::remove(folder / "in.pt");
    write_pt(folder / "in.pt", tensors);
    testing::write_text(folder / "c.json", "{\"activation\": {\"name\": \"sigmoid\", \"shift\": 1}, \"projector\": " +
                                               projector + more + "}");
    const testing::Words words = {"evaluate", "in.pt", "--config", "c.json", "--out", "out.json"};
    return testing::entk_in_place(words, folder.path());
  };
  const std::string features = "{\"source\": \"features\", \"rank\": 2}";
  EXPECT_EQ(evaluate(good, features, "").status, 0);
  testing::write_text(folder / "out.json", "mine");
  const auto again = evaluate(good, features, "");
  EXPECT_TRUE(testing::exits_with(again, 2));
  EXPECT_TRUE(contains(again.output, "--out: 'out.json' exists"));
  EXPECT_EQ(testing::read_text(folder / "out.json"), "mine");
  EXPECT_EQ(
      testing::entk_in_place({"evaluate", "in.pt", "--config", "c.json", "--out", "out.json", "--force"}, folder.path())
          .status,
      0);
  EXPECT_NE(testing::read_text(folder / "out.json"), "mine");
  std::filesystem::remove(folder / "out.json");
  const auto refused = [&](const TensorDict& tensors, const std::string& projector, const std::string& more,
                           const std::string& part) {
    const auto result = evaluate(tensors, projector, more);
    EXPECT_TRUE(testing::exits_with(result, 2)) << part;
    EXPECT_TRUE(contains(result.output, part));
    EXPECT_FALSE(std::filesystem::exists(folder / "out.json")) << part;
  };
  auto tensors = good;
  tensors.erase("a");
  refused(tensors, features, "", "'a'");
  tensors = good;
  tensors["X"] = tensors["X"].clone().index_put_({1, 2}, NAN);
  refused(tensors, features, "", "X: entry [1, 2]");
  tensors = good;
  tensors["y"] = torch::zeros({5}, torch::kDouble);
  refused(tensors, features, "", "y: expected a vector of length 6");
  refused(good, "{\"source\": \"features\", \"rank\": 7}", "", "rank");
  refused(good, "{\"source\": \"unlabeled\", \"rank\": 2}", "", "X_unlabeled");
  refused(good, features, ", \"lambd\": [0, 0, 1, 0]", "did you mean 'lambda'");
  refused(good, features, ", \"lambda\": [0, 0, 1]", "lambda");
  refused(good, features, ", \"loss\": \"logistic\"", "y");
  refused(good, features, ", \"dtype\": \"float32\", \"lambda\": [0, 0, 1e39, 0]", "lambda.3: expected 0 or a size");
  const auto on_no_sphere = evaluate(good, "{\"source\": \"harmonic\", \"rank\": 5}", "");
  EXPECT_TRUE(testing::exits_with(on_no_sphere, 0));
  EXPECT_TRUE(
      contains(on_no_sphere.output, "harmonic projector: its formulas are those of inputs uniform on the sphere"));
  std::filesystem::remove(folder / "out.json");
  tensors = good;
  tensors["W"] = torch::full({4, 4}, 1e200, torch::kDouble);
  EXPECT_TRUE(testing::exits_with(evaluate(tensors, features, ""), 3));
}

}  // namespace
}  // namespace entk::evaluate_test
