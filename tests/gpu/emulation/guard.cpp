// Tells a build of torch without CUDA that there is one CUDA device, cuda:0, about which nothing has to be done.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstring>

namespace {

const c10::Device device(c10::DeviceType::CUDA, 0);
const c10::Stream stream(c10::Stream::DEFAULT, device);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  c10::Device exchangeDevice(c10::Device) const override { return device; }
  c10::Device getDevice() const override { return device; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream; }
  c10::Stream getNewStream(c10::Device, int) const override { return stream; }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream; }
};

struct Hooks final : at::CUDAHooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool hasCUDA() const override { return true; }
  void init() const override {}
  std::string showConfig() const override { return "  - an emulated CUDA device\n"; }
};

void use_functions_of(const at::CUDAHooksInterface& other) {
  // torch keeps its first hooks for the life of a process: these take over the table of functions of others
  std::memcpy((void*)&at::detail::getCUDAHooks(), (const void*)&other, sizeof(void*));
}

Guard guard;
c10::impl::DeviceGuardImplRegistrar registrar(c10::DeviceType::CUDA, &guard);
const at::CUDAHooksInterface without_cuda;
const Hooks with_cuda;

} // namespace

extern "C" void cuda_exists(int exists) {
  if (exists)
    use_functions_of(with_cuda);
  else
    use_functions_of(without_cuda);
}
