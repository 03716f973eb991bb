#include <cstdio>
#include <cstdlib>

#include "entk/program/program.h"

// Without the destructors of LibTorch's tables, a third of what a short command takes: the system frees them at once.
int main(int argc, char** argv) {
  const int code = entk::run_program(argc, argv);
  std::fflush(nullptr);
  std::_Exit(code);
}
