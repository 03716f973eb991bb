#include <fmt/format.h>

#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/tools/evaluate.h"
#include "entk/io/atomic_file.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/strict_json.h"

namespace entk::app {

namespace {

struct EvaluateOptions {
  std::string input, config, out;
  bool gradient = false, quiet = false, force = false;
};

ExitCode evaluate(const EvaluateOptions& o, const Catalogue& catalogue) {
  if (!o.out.empty()) {
    std::error_code ignored;
    for (const auto& in : {o.input, o.config}) {
      if (std::filesystem::equivalent(in, o.out, ignored)) throw InputError("--out: '" + o.out + "' is an input");
    }
    check_new_file(o.out, o.force);
  }
  const auto config = load_json(o.config);
  const auto result = evaluate_tensors(read_tensors(o.input), config, o.config, o.gradient, catalogue);
  if (!o.quiet) {
    for (const auto& warning : result.warnings) say("note: " + warning);
  }
  const auto text = dump_json(result.values);
  if (o.out.empty()) {
    fmt::print("{}", text);
  } else {
    write_file_atomically(o.out, text);
  }
  return ExitCode::ok;
}

}  // namespace

void add_evaluate(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("evaluate", "f, f_L, f_Q, R1 to R4, losses and gradient at tensors of one's own");
  const auto o = std::make_shared<EvaluateOptions>();
  command
      ->add_option("INPUT", o->input,
                   ".pt file with W0, a (of a module start.NAME), W, X, y and, for an unlabeled projector, X_unlabeled")
      ->required();
  command
      ->add_option("--config", o->config,
                   "JSON: activation (or model, of a module), projector {source, rank}, lambda, loss, dtype, device")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", o->out, "JSON file for the results [stdout]")->type_name("FILE");
  command->add_flag("--gradient", o->gradient, "with the gradient itself, m×d");
  command->add_flag("--force", o->force, "write over what --out names");
  command->add_flag("--quiet", o->quiet, "no notes");
  command->footer(
      "OUT: f = f(x;W), the network itself; f_L, f_Q (12); R1 to R4 (16)-(19); loss of f_L + f_Q (28);\n"
      "regularized_loss (20); gradient_norm, Frobenius, of the regularized loss in W.");
  command->callback([o, &program] { program.action = [o, &program] { return evaluate(*o, program.catalogue); }; });
}

}  // namespace entk::app
