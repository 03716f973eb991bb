// The command line as a library, with a loss of its own.
#include <entk/entk.h>

int main(int argc, char** argv) {
  entk::Catalogue own;
  own.loss("own_loss", "the square loss under another name", {},
           [](const entk::Parameters&) { return entk::square_loss(); });
  return entk::run_program(argc, argv, own);
}
