# The target compile_time: how long the umbrella header takes to parse, LibTorch's own beside it.
file(GENERATE OUTPUT "${PROJECT_BINARY_DIR}/compile_time.sh" CONTENT
"TIMEFORMAT='%R s'
for header in entk/entk.h entk/models/taylor_model.h torch/types.h torch/torch.h; do
  printf '<%s>  ' \"$header\"
  time echo \"#include <$header>\" | '${CMAKE_CXX_COMPILER}' -std=c++20 -fsyntax-only -x c++ - \\
    -I$<JOIN:$<TARGET_PROPERTY:entk,INTERFACE_INCLUDE_DIRECTORIES>, -I>
done
")
# The compiler itself, not ccache.
add_custom_target(compile_time COMMAND bash "${PROJECT_BINARY_DIR}/compile_time.sh" VERBATIM USES_TERMINAL
                  COMMENT "Parse time of headers")
