#include "entk/program/program.h"

int main(int argc, char** argv) { return entk::run_program(argc, argv); }
