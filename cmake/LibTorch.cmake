# Finds LibTorch and defines the target entk::torch, without going through TorchConfig.cmake: a CUDA
# build's TorchConfig stops where no CUDA toolkit is installed, and entk needs only headers and four
# libraries. Sets ENTK_TORCH_VERSION, ENTK_TORCH_HAS_CUDA and ENTK_TORCH_PREFIX, or ENTK_TORCH_PROBLEM:
# why there is none that entk can use. Installed, this file serves entkConfig.cmake too.
#
# Where it looks: Torch_DIR, CMAKE_PREFIX_PATH (a LibTorch of the user's own), ENTK_TORCH_BUILT_WITH (of
# an installed entk), then the virtual environment that setup.sh makes.

unset(ENTK_TORCH_PROBLEM)

if(NOT Torch_DIR)
  find_path(ENTK_TORCH_CONFIG_DIR TorchConfig.cmake
            PATH_SUFFIXES share/cmake/Torch Torch
            PATHS ${CMAKE_PREFIX_PATH} ENV CMAKE_PREFIX_PATH NO_CMAKE_SYSTEM_PATH)
  if(NOT ENTK_TORCH_CONFIG_DIR AND ENTK_TORCH_BUILT_WITH)
    set(ENTK_TORCH_CONFIG_DIR "${ENTK_TORCH_BUILT_WITH}/share/cmake/Torch" CACHE PATH "Folder of TorchConfig.cmake" FORCE)
  endif()
  if(NOT ENTK_TORCH_CONFIG_DIR AND ENTK_TORCH_VENV)
    file(GLOB _entk_venv "${ENTK_TORCH_VENV}/lib/python3*/site-packages/torch/share/cmake/Torch")
    if(_entk_venv)
      list(GET _entk_venv 0 _entk_venv)
      set(ENTK_TORCH_CONFIG_DIR "${_entk_venv}" CACHE PATH "Folder of TorchConfig.cmake" FORCE)
    endif()
  endif()
  set(_entk_torch_dir "${ENTK_TORCH_CONFIG_DIR}")
else()
  set(_entk_torch_dir "${Torch_DIR}")
endif()

if(NOT EXISTS "${_entk_torch_dir}/TorchConfigVersion.cmake")
  string(CONCAT ENTK_TORCH_PROBLEM
    "no LibTorch found. Run ./setup.sh, which installs the pinned wheel in .venv, or give "
    "your own with -DCMAKE_PREFIX_PATH=/path/to/libtorch or -DTorch_DIR=/path/to/TorchConfig.cmake's folder.")
  return()
endif()

get_filename_component(ENTK_TORCH_PREFIX "${_entk_torch_dir}/../../.." ABSOLUTE)
unset(PACKAGE_VERSION)
include("${_entk_torch_dir}/TorchConfigVersion.cmake")
set(ENTK_TORCH_VERSION "${PACKAGE_VERSION}")
unset(PACKAGE_VERSION)
file(READ "${_entk_torch_dir}/TorchConfig.cmake" _entk_torch_config)
if(_entk_torch_config MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  string(CONCAT ENTK_TORCH_PROBLEM
    "the LibTorch at ${ENTK_TORCH_PREFIX} was built with the old std::string ABI "
    "(_GLIBCXX_USE_CXX11_ABI=0), which does not link with this system's libraries; take a cxx11-ABI build.")
  return()
endif()
if(ENTK_TORCH_VERSION VERSION_LESS 2.11)
  set(ENTK_TORCH_PROBLEM "LibTorch ${ENTK_TORCH_VERSION} at ${ENTK_TORCH_PREFIX} is too old: 2.11 or newer is needed.")
  return()
endif()

set(ENTK_TORCH_HAS_CUDA OFF)
if(EXISTS "${ENTK_TORCH_PREFIX}/lib/libtorch_cuda.so")
  set(ENTK_TORCH_HAS_CUDA ON)
endif()

set(_entk_torch_libraries c10 torch_cpu)
if(ENTK_TORCH_HAS_CUDA)
  list(APPEND _entk_torch_libraries c10_cuda torch_cuda)
endif()
list(APPEND _entk_torch_libraries torch)

foreach(_lib IN LISTS _entk_torch_libraries)
  if(NOT EXISTS "${ENTK_TORCH_PREFIX}/lib/lib${_lib}.so")
    set(ENTK_TORCH_PROBLEM "lib${_lib}.so is missing from ${ENTK_TORCH_PREFIX}/lib.")
    return()
  endif()
endforeach()

if(NOT TARGET entk::torch)
  add_library(entk::torch INTERFACE IMPORTED GLOBAL)
  foreach(_lib IN LISTS _entk_torch_libraries)
    add_library(entk::torch_${_lib} SHARED IMPORTED GLOBAL)
    set_target_properties(entk::torch_${_lib} PROPERTIES
      IMPORTED_LOCATION "${ENTK_TORCH_PREFIX}/lib/lib${_lib}.so" IMPORTED_NO_SONAME FALSE)
    target_link_libraries(entk::torch INTERFACE entk::torch_${_lib})
  endforeach()
  target_include_directories(entk::torch SYSTEM INTERFACE
    "${ENTK_TORCH_PREFIX}/include" "${ENTK_TORCH_PREFIX}/include/torch/csrc/api/include")
  # CUDA back ends register themselves when their library is loaded: nothing refers to them by name.
  target_link_options(entk::torch INTERFACE "LINKER:--no-as-needed")
endif()

# The Python that can import this torch, where there is one: only tests use it.
if(NOT ENTK_PYTHON AND EXISTS "${ENTK_TORCH_VENV}/bin/python")
  set(ENTK_PYTHON "${ENTK_TORCH_VENV}/bin/python" CACHE FILEPATH "Python with torch, for the tests")
endif()
