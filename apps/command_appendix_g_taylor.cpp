#include "appendix_g.h"
#include "entk/experiments/taylor_study.h"

namespace entk::app {

namespace {

ExitCode run_taylor(const AppendixOptions& o, const std::string& command_line) {
  throw InputError("appendix-g --study taylor: not in this version");
}

}  // namespace

AppendixStudy taylor_appendix_study() {
  return {"taylor", "a convolutional network beside its expansions", taylor_study_keys(), run_taylor};
}

}  // namespace entk::app
