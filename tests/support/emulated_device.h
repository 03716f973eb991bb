// A GPU on the host: runs the fused kernels lane by lane, with the arithmetic of tensor cores.
//
// Every thread of a block is a fiber. A collective operation waits until all that take part arrive.
// Shared memory starts as NaN; asynchronous copies arrive no earlier than somebody waits for them;
// fibers run in either order: a missing barrier or wait shows as NaN or as bits that depend on it.
#pragma once

#include <gtest/gtest.h>
#include <ucontext.h>

#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "entk/kernels/gpu/fused_primitive.h"

namespace entk::testing {

/// The float beside `value` towards zero.
inline float towards_zero(double value) {
  const auto rounded = static_cast<float>(value);
  return std::fabs(static_cast<double>(rounded)) > std::fabs(value) ? std::nextafter(rounded, 0.0f) : rounded;
}

/// c + Σ a b as the least accurate of tensor cores adds (an A100's): four products at a time, each such
/// sum rounded towards zero. Later ones take eight at a time.
inline float tensor_core_sum(float c, const double (&products)[8]) {
  for (int half = 0; half < 8; half += 4) {
    double sum = c;
    for (int k = half; k < half + 4; ++k) sum += products[k];
    c = towards_zero(sum);
  }
  return c;
}

class EmulatedBlock {
 public:
  static constexpr int threads = kernels::fused::threads;

  EmulatedBlock(std::int64_t x, std::int64_t y, std::int64_t z, std::int64_t shared_floats, bool reversed)
      : place_{x, y, z},
        reversed_(reversed),
        fibers_(threads),
        warps_(threads / 32),
        shared_(shared_floats, std::numeric_limits<float>::quiet_NaN()) {}

  template <class Body>
  void run(Body&& body) {
    call_ = [this, &body](int thread) {
      Machine machine{*this, thread};
      body(machine);
    };
    for (int i = 0; i < threads; ++i) {
      Fiber& f = fibers_[i];
      ::getcontext(&f.context);
      f.context.uc_stack.ss_sp = stack_of(i);
      f.context.uc_stack.ss_size = stack_bytes;
      const auto self = reinterpret_cast<std::uintptr_t>(this);
      ::makecontext(&f.context, reinterpret_cast<void (*)()>(&EmulatedBlock::enter), 3, static_cast<unsigned>(self),
                    static_cast<unsigned>(self >> 32), static_cast<unsigned>(i));
    }
    scheduler_.begun = true;
    for (int left = threads; left > 0;) {
      for (int k = 0; k < threads; ++k) {
        const int i = reversed_ ? threads - 1 - k : k;
        if (fibers_[i].done) continue;
        current_ = i;
        change(scheduler_, fibers_[i]);
        if (fibers_[i].done) --left;
      }
    }
  }

  /// What a kernel body sees: see fused_kernels.h.
  struct Machine {
    EmulatedBlock& block;
    int index;

    int thread() const { return index; }
    std::int64_t block_x() const { return block.place_[0]; }
    std::int64_t block_y() const { return block.place_[1]; }
    std::int64_t block_z() const { return block.place_[2]; }
    float* shared() { return block.shared_.data(); }
    void barrier() {
      block.meet(block.barrier_, threads, [] {});
    }
    void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
      Warp& warp = block.warps_[index / 32];
      const int lane = index % 32;
      for (int e = 0; e < 4; ++e) warp.a[lane][e] = a[e], warp.c[lane][e] = c[e];
      for (int e = 0; e < 2; ++e) warp.b[lane][e] = b[e];
      block.meet(warp.meeting, 32, [&] { multiply(warp); });
      for (int e = 0; e < 4; ++e) c[e] = warp.result[lane][e];
    }
    float shuffle_xor(float value, int mask) {
      Warp& warp = block.warps_[index / 32];
      const int lane = index % 32;
      warp.c[lane][0] = value;
      block.meet(warp.meeting, 32, [&] {
        for (int l = 0; l < 32; ++l) warp.result[l][0] = warp.c[l][0];
      });
      return warp.result[lane ^ mask][0];
    }
    void copy(float* to, const float* from, bool valid) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(to) % 16, 0u);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(from) % 16, 0u);
      block.fibers_[index].copies.push_back({to, valid ? from : nullptr, block.fibers_[index].groups});
    }
    void commit() { ++block.fibers_[index].groups; }
    void wait_all_but_one() { finish_copies(block.fibers_[index].groups - 1); }
    void wait_all() { finish_copies(block.fibers_[index].groups); }

   private:
    void finish_copies(int groups) {
      auto& copies = block.fibers_[index].copies;
      std::size_t kept = 0;
      for (const auto& c : copies) {
        if (c.group >= groups) {
          copies[kept++] = c;
          continue;
        }
        for (int e = 0; e < 4; ++e) c.to[e] = c.from ? c.from[e] : 0.0f;
      }
      copies.resize(kept);
    }
  };

 private:
  static constexpr std::size_t stack_bytes = 96 << 10;

  /// The same for every block: fresh pages for each took five times as long as the kernels.
  static char* stack_of(int thread) {
    thread_local const auto stacks = std::make_unique_for_overwrite<char[]>(threads * stack_bytes);
    return stacks.get() + thread * stack_bytes;
  }

  struct Copy {
    float* to;
    const float* from;
    int group;
  };
  struct Place {
    ucontext_t context;
    bool begun = false;
    std::jmp_buf at;
  };
  struct Fiber : Place {
    std::vector<Copy> copies;
    int groups = 0;
    bool done = false;
  };
  struct Meeting {
    int arrived = 0;
    std::int64_t generation = 0;
  };
  struct Warp {
    Meeting meeting;
    std::uint32_t a[32][4], b[32][2];
    float c[32][4], result[32][4];
  };

  /// Goes on at another place. swapcontext asks the kernel for the signals' mask, which took four fifths of a test;
  /// AddressSanitizer follows it alone.
  static void change(Place& from, Place& to) {
#if defined(__SANITIZE_ADDRESS__)
    ::swapcontext(&from.context, &to.context);
#else
    if (::_setjmp(from.at) != 0) return;
    if (std::exchange(to.begun, true)) ::_longjmp(to.at, 1);
    ::setcontext(&to.context);
#endif
  }

  static void enter(unsigned low, unsigned high, unsigned thread) {
    auto* self =
        reinterpret_cast<EmulatedBlock*>(static_cast<std::uintptr_t>(low) | static_cast<std::uintptr_t>(high) << 32);
    self->call_(static_cast<int>(thread));
    self->fibers_[thread].done = true;
    change(self->fibers_[thread], self->scheduler_);
  }

  template <class F>
  void meet(Meeting& meeting, int size, F&& last) {
    if (++meeting.arrived == size) {
      last();
      meeting.arrived = 0;
      ++meeting.generation;
      return;
    }
    const std::int64_t generation = meeting.generation;
    const int self = current_;
    while (meeting.generation == generation) change(fibers_[self], scheduler_);
  }

  /// mma.m16n8k8 on TF32 numbers: of each operand the bits that a tensor core reads.
  static void multiply(Warp& w) {
    const auto tf32 = [](std::uint32_t bits) {
      return static_cast<double>(kernels::float_of(bits & kernels::tf32_mask));
    };
    double a[16][8], b[8][8];
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      a[g][t] = tf32(w.a[lane][0]);
      a[g + 8][t] = tf32(w.a[lane][1]);
      a[g][t + 4] = tf32(w.a[lane][2]);
      a[g + 8][t + 4] = tf32(w.a[lane][3]);
      b[t][g] = tf32(w.b[lane][0]);
      b[t + 4][g] = tf32(w.b[lane][1]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < 4; ++e) {
        const int row = lane / 4 + 8 * (e / 2), column = lane % 4 * 2 + e % 2;
        double products[8];
        for (int k = 0; k < 8; ++k) products[k] = a[row][k] * b[k][column];
        w.result[lane][e] = tensor_core_sum(w.c[lane][e], products);
      }
    }
  }

  std::int64_t place_[3];
  bool reversed_;
  int current_ = 0;
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  std::vector<float> shared_;
  Meeting barrier_;
  Place scheduler_;
  std::function<void(int)> call_;
};

/// Launches by running the blocks one after the other.
class EmulatedLauncher final : public kernels::fused::Launcher {
 public:
  explicit EmulatedLauncher(bool tf32 = false, std::int64_t slots = 4, bool reversed = false)
      : tf32_(tf32), slots_(slots), reversed_(reversed) {}

  const char* name() const override { return tf32_ ? "emulated-tf32" : "emulated"; }
  bool in_tf32() const override { return tf32_; }
  std::int64_t slots() const override { return slots_; }

  void pack(const kernels::fused::PackArgs& a) const override {
    launch(kernels::fused::pack_grid(a), [&](auto& m) { kernels::fused::pack_body(m, a); });
  }
  void forward(const kernels::fused::ForwardArgs& a) const override {
    launch(kernels::fused::forward_grid(a), [&](auto& m) {
      tf32_ ? kernels::fused::forward_body<false>(m, a) : kernels::fused::forward_body<true>(m, a);
    });
  }
  void reduce(const kernels::fused::ReduceArgs& a) const override {
    launch(kernels::fused::reduce_grid(a), [&](auto& m) { kernels::fused::reduce_body(m, a); });
  }
  void along(const kernels::fused::AlongArgs& a) const override {
    launch(kernels::fused::along_grid(a), [&](auto& m) { kernels::fused::along_body(m, a); });
  }
  void pull(const kernels::fused::PullArgs& a) const override {
    switch (a.plan.fragments) {
      case 2:
        return pull<2>(a);
      case 4:
        return pull<4>(a);
      case 7:
        return pull<7>(a);
      default:
        return pull<8>(a);
    }
  }
  void update(const kernels::fused::UpdateArgs& a) const override {
    launch(kernels::fused::update_grid(a), [&](auto& m) { kernels::fused::update_body(m, a); });
  }
  void objective(const kernels::fused::ObjectiveArgs& a) const override {
    launch(kernels::fused::objective_grid(a), [&](auto& m) { kernels::fused::objective_body(m, a); });
  }
  void value(const kernels::fused::ValueArgs& a) const override {
    launch(kernels::fused::value_grid(a), [&](auto& m) { kernels::fused::value_body(m, a); });
  }
  void set(kernels::fused::StepState* on_device, const kernels::fused::StepState& value) const override {
    *on_device = value;
  }

 private:
  template <int fragments>
  void pull(const kernels::fused::PullArgs& a) const {
    launch(kernels::fused::pull_grid(a), [&](auto& m) {
      tf32_ ? kernels::fused::pull_body<false, fragments>(m, a) : kernels::fused::pull_body<true, fragments>(m, a);
    });
  }

  template <class Body>
  void launch(const kernels::fused::Grid& grid, Body&& body) const {
    for (std::int64_t z = 0; z < grid.z; ++z) {
      for (std::int64_t y = 0; y < grid.y; ++y) {
        for (std::int64_t x = 0; x < grid.x; ++x) {
          EmulatedBlock(x, y, z, grid.shared_floats, reversed_).run(body);
        }
      }
    }
  }

  bool tf32_;
  std::int64_t slots_;
  bool reversed_;
};

}  // namespace entk::testing
